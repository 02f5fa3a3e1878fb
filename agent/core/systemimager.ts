// SystemImager's own parameters, as far as they are not ours: whoever gives one is told that it has no effect.

/** Names of SystemImager that mean something to it and nothing yet to this agent. */
export const NOT_YET: ReadonlySet<string> = new Set(
  `BITTORRENT SCRIPTNAME NETWORK_CONFIG INSTALL_IFACE TMPFS_STAGING MONITOR_SERVER MONITOR_PORT
  MONITOR_CONSOLE LOG_SERVER LOG_SERVER_PORT SSH SSHD SSH_USER SSH_DOWNLOAD_URL FLAMETHROWER_DIRECTORY_PORTBASE
  ETHER_SLEEP SKIP_LOCAL_CFG LAST_ROOT GROUP_OVERRIDES si.image-version si.script-name si.config
  si.network-config si.install-iface si.dl-protocol si.tmpfs-staging si.monitor-server si.monitor-port
  si.monitor-console si.log-server-port si.ssh-client si.ssh-server si.ssh-user si.ssh-download-url
  si.flamethrower-directory-portbase si.skip-local-cfg si.selinux-relabel si.term si.debug`.split(/\s+/),
);
