# One libtorrent peer: `libtorrent-peer.py seed|fetch PROFILE TORRENT FOLDER HOST PORT`. As a leecher it prints "ready",
# begins when it reads a line, and prints "complete" when it has the whole content; it seeds until it is stopped.

import sys

import libtorrent as lt

role, profile, torrent, folder, host, port = sys.argv[1:]
settings = lt.high_performance_seed() if profile == "high_performance_seed" else lt.default_settings()
if profile == "lan":
    # What was found best for a swarm on links of one rate: few upload slots that change hands often, and no pauses.
    settings.update(
        {
            "unchoke_slots_limit": 4,
            "unchoke_interval": 2,
            "optimistic_unchoke_interval": 4,
            "connection_speed": 500,
            "torrent_connect_boost": 100,
            "mixed_mode_algorithm": 0,
            "request_queue_time": 1,
            "max_out_request_queue": 200,
            "send_buffer_watermark": 131072,
            "send_buffer_low_watermark": 32768,
            "send_buffer_watermark_factor": 50,
            "seed_choking_algorithm": 0,
            "piece_timeout": 5,
            "initial_picker_threshold": 0,
            "close_redundant_connections": False,
        }
    )
settings.update(
    {
        "listen_interfaces": f"{host}:{port}",
        "outgoing_interfaces": host,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "in_enc_policy": 2,
        "out_enc_policy": 2,
        "allowed_enc_level": 1,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
    }
)
session = lt.session(settings)
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = folder
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
if role == "seed":
    params.flags |= lt.torrent_flags.seed_mode
else:
    print("ready", flush=True)
    sys.stdin.readline()
session.add_torrent(params)
while True:
    session.wait_for_alert(60000)
    for alert in session.pop_alerts():
        if isinstance(alert, lt.torrent_finished_alert):
            print("complete", flush=True)
        elif isinstance(alert, lt.torrent_error_alert):
            sys.exit(str(alert))
