# The network of the RAM disk: which interface, VLAN, DHCP or fixed addresses, IPv6; and the file that tells the agent of
# it. Read in by /init, and by udhcpc.sh for what a DHCP server has said. Whatever comes from the kernel command line or
# from the network is checked by its form before it is used.
#
# Needs of /init: boot_mac, vlan, host_name, name_servers, ip_words, loader, say and stop.

LEASE=/run/swarmboot/lease
# For drivers that load firmware, and for interfaces behind USB.
DEVICE_WAIT_S=10
# Two machines agree on a speed in 2 to 5 s, for 10GBASE-T in 15.
LINK_WAIT_S=30
# A switch with spanning tree forwards nothing in the first 30 s of a link: 6 rounds of 5 questions, 2 s apart.
DHCP_ROUNDS=6
# The kernel asks routers three times, 4 s apart.
ROUTER_WAIT_S=15
POLLS_PER_S=5

# Comes back with a network, and with the lease written, or not at all.
start_network() {
  method=dhcp device='' mac='' vlan_id='' address='' address6='' gateway='' domain='' next_server=''
  how=dhcp wanted_device='' fixed='' gateways=''
  check_words
  ip link set lo up
  if [ -n "$vlan" ]; then
    make_vlan
  else
    await_link
  fi
  case $how in
    dhcp) configure_by_dhcp ;;
    fixed) configure_fixed ;;
    auto6) configure_by_router ;;
  esac
  read_lease
  say "network: $device $mac${vlan_id:+, VLAN $vlan_id}, ${address:-no IPv4 address}${address6:+, $address6}" \
    "  gateway ${gateway:-not named}, name servers ${name_servers:-not named}"
}

# --- what the kernel command line says

check_words() {
  local word hex='[0-9a-f][0-9a-f]'
  case $boot_mac in
    '' | $hex:$hex:$hex:$hex:$hex:$hex) ;;
    # PXELINUX and iPXE put the type of the hardware before: 01 is Ethernet.
    01:$hex:$hex:$hex:$hex:$hex:$hex) boot_mac=${boot_mac#01:} ;;
    *) misunderstood "BOOTIF=$boot_mac" 'the form is BOOTIF=01-aa-bb-cc-dd-ee-ff' ;;
  esac
  [ -z "$host_name" ] || is_label "$host_name" ||
    misunderstood "HOSTNAME=$host_name" 'a host name has letters, digits and hyphens, and no dots'
  for word in $name_servers; do
    is_address "$word" || misunderstood "nameserver=$word" 'the form is nameserver=192.168.0.1'
  done
  for word in $ip_words; do
    case $word in
      dhcp | auto6) how=$word ;;
      dhcp6) misunderstood 'ip=dhcp6' 'busybox here has no client for it; ip=auto6 takes what routers advertise' ;;
      *) read_fixed "$word" ;;
    esac
  done
}

misunderstood() {
  stop 'THE NETWORK CANNOT BE SET UP.' "Not understood on the kernel command line: $1" "$2"
}

# One `ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:IFACE:none`; a second one may add an address of the other family.
read_fixed() {
  local rest=$1 field='' client server router mask name prefix=''
  how=fixed method=static
  cut_field; client=$field
  cut_field; server=$field
  cut_field; router=$field
  cut_field; mask=$field
  cut_field; name=$field
  cut_field; wanted_device=$field
  cut_field
  case $field:$rest in
    none: | off: | :) ;;
    *) bad_fixed "$1" ;;
  esac
  is_address "$client" && find_prefix "$mask" || bad_fixed "$1"
  [ -z "$server" ] || is_address "$server" || bad_fixed "$1"
  [ -z "$router" ] || is_address "$router" || bad_fixed "$1"
  [ -z "$name" ] || is_label "$name" || bad_fixed "$1"
  [ -z "$wanted_device" ] || is_device "$wanted_device" || bad_fixed "$1"
  fixed="$fixed $client/$prefix" gateways="$gateways $router"
  next_server=${next_server:-$server} host_name=${host_name:-$name}
}

bad_fixed() {
  misunderstood "ip=$1" 'the form is ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:IFACE:none, IPv6 addresses in [ ]'
}

# Cuts the first field off `rest`; colons within [ ] do not end it.
cut_field() {
  case $rest in
    '['*']'*) field=${rest#'['} field=${field%%']'*} rest=${rest#*']'} rest=${rest#:} ;;
    *:*) field=${rest%%:*} rest=${rest#*:} ;;
    *) field=$rest rest='' ;;
  esac
}

# Sets prefix from a mask (255.255.255.0) or a length (24).
find_prefix() {
  case $1 in
    *.*.*.*) prefix=$(ipcalc -p 0.0.0.0 "$1" 2>/dev/null) && prefix=${prefix#PREFIX=} ;;
    '' | *[!0-9]* | ????*) return 1 ;;
    *) prefix=$1 ;;
  esac
}

is_address() {
  case $1 in
    *[!0-9a-fA-F:.]* | *.*:* | *.*.*.*.*) return 1 ;;
    *:*:* | *[0-9].*[0-9].*[0-9].*[0-9]) ;;
    *) return 1 ;;
  esac
}

# One part of a host name (RFC 1123).
is_label() {
  case $1 in
    '' | -* | *- | *[!A-Za-z0-9-]*) return 1 ;;
  esac
  [ "${#1}" -le 63 ]
}

is_device() {
  case $1 in
    '' | . | .. | *[!A-Za-z0-9._-]*) return 1 ;;
  esac
  [ "${#1}" -le 15 ]
}

# --- which interface

# The interfaces that the command line leaves to choose from: the one it names, the one that booted, or all wired ones.
find_candidates() {
  local path name
  candidates=''
  for path in /sys/class/net/*; do
    name=${path##*/}
    # Without a device behind it, it is the kernel's own: lo, bonds, tunnels.
    [ -e "$path/device" ] && [ ! -e "$path/phy80211" ] && [ "$(cat "$path/type")" = 1 ] || continue
    [ -z "$wanted_device" ] || [ "$name" = "$wanted_device" ] || continue
    [ -n "$wanted_device" ] || [ -z "$boot_mac" ] || [ "$(cat "$path/address")" = "$boot_mac" ] || continue
    candidates="$candidates $name"
  done
}

# Sets linked: the candidates that have a link, once there are any. Drivers are still being loaded meanwhile.
await_link() {
  local polls=0
  find_candidates
  while [ -z "$candidates" ]; do
    [ "$polls" -lt $((DEVICE_WAIT_S * POLLS_PER_S)) ] || no_device
    kill -0 "$loader" 2>/dev/null || polls=$((polls + 1))
    sleep 0.2
    find_candidates
  done
  polls=0
  find_linked
  while [ -z "$linked" ]; do
    [ "$polls" -lt $((LINK_WAIT_S * POLLS_PER_S)) ] || no_link
    polls=$((polls + 1))
    sleep 0.2
    find_candidates
    find_linked
  done
}

find_linked() {
  local name
  linked=''
  for name in $candidates; do
    # A link is only looked for on an interface that is up.
    ip link set "$name" up
    [ "$(cat "/sys/class/net/$name/carrier" 2>/dev/null)" != 1 ] || linked="$linked $name"
  done
}

no_device() {
  local path name wanted='wired network interface' present=''
  for path in /sys/class/net/*; do
    name=${path##*/}
    [ "$name" = lo ] || present="$present $name ($(cat "$path/address"))"
  done
  [ -z "$boot_mac" ] || wanted="network interface with the address $boot_mac (BOOTIF)"
  [ -z "$wanted_device" ] || wanted="network interface $wanted_device"
  stop "NO NETWORK: there is no $wanted." "Found:${present:- none}" \
    'If it is in the machine, the RAM disk lacks its driver: swarmboot initrd build --modules all'
}

no_link() {
  stop "NO NETWORK: no link on$candidates in $LINK_WAIT_S s." \
    'See to the cable and to the port of the switch; then start this machine again.'
}

# `vlan=NAME:PARENT`, where NAME ends in the number: eth0.5, vlan5, vlan0005.
make_vlan() {
  local name=${vlan%%:*} parent=${vlan#*:} named=$wanted_device
  vlan_id=${name##*[!0-9]}
  vlan_id=${vlan_id#"${vlan_id%%[!0]*}"}
  if ! is_device "$name" || ! is_device "$parent" || [ -z "$vlan_id" ] || [ "$vlan_id" -gt 4094 ] ||
    [ "${named:-$name}" != "$name" ]; then
    misunderstood "vlan=$vlan${named:+ with ip=...:$named:...}" 'the form is vlan=eth0.5:eth0; ip= may name eth0.5 only'
  fi
  wanted_device=$parent
  await_link
  ip link add link "$parent" name "$name" type vlan id "$vlan_id" ||
    stop "THE NETWORK CANNOT BE SET UP: the kernel makes no VLAN $vlan_id on $parent." \
      'The RAM disk must hold the module 8021q: swarmboot initrd build --modules all'
  ip link set "$name" up
  candidates=$name linked=$name
}

# --- addresses

# Asks on every interface that has a link, in turns, until a server answers. The client stays and renews the lease.
configure_by_dhcp() {
  local round=0 log=/run/swarmboot/udhcpc.log
  while [ "$round" -lt "$DHCP_ROUNDS" ]; do
    for device in $linked; do
      host_name=$host_name name_servers=$name_servers vlan_id=$vlan_id \
        udhcpc -i "$device" -n -t 5 -T 2 -p /run/swarmboot/udhcpc.pid -s /usr/lib/swarmboot/udhcpc.sh >"$log" 2>&1 || :
      [ ! -e "$LEASE" ] || return 0
    done
    round=$((round + 1))
    find_linked
  done
  stop "NO NETWORK: no DHCP server answered on$candidates in $((DHCP_ROUNDS * 10)) s." "Lastly: $(tail -n 1 "$log")" \
    'See to the server and the VLAN (vlan=), or give this machine a fixed address (ip=).'
}

# What udhcpc tells of ($1); what the server said is in the environment: ip, mask, router, dns, hostname, domain, siaddr.
take_dhcp_event() {
  local word
  case $1 in
    deconfig)
      ip -4 addr flush dev "$interface"
      ip link set "$interface" up
      return
      ;;
    bound | renew) ;;
    *) return 0 ;;
  esac
  is_address "${ip:-}" && find_prefix "${mask:-}" || return 1
  method=dhcp device=$interface address=$ip/$prefix gateway='' next_server=''
  [ "$1" = renew ] || ip addr add "$address" broadcast + dev "$device"
  for word in ${router:-}; do
    is_address "$word" || continue
    gateway=$word
    [ "$1" = renew ] || ip route add default via "$gateway" dev "$device"
    break
  done
  if is_address "${siaddr:-}" && [ "$siaddr" != 0.0.0.0 ]; then next_server=$siaddr; fi
  take_names
  publish
}

# Names and name servers of the DHCP server, where the kernel command line has none. The name of the host may come with
# its domain.
take_names() {
  local word offered=${hostname:-}
  case ${domain:=${offered#"${offered%%.*}"}} in
    .*) domain=${domain#.} ;;
  esac
  case $domain in
    .* | *..* | *[!A-Za-z0-9.-]*) domain='' ;;
  esac
  [ -n "$host_name" ] || ! is_label "${offered%%.*}" || host_name=${offered%%.*}
  [ -z "$name_servers" ] || return 0
  for word in ${dns:-}; do
    ! is_address "$word" || name_servers="$name_servers $word"
  done
}

configure_fixed() {
  local word
  set -- $linked
  device=$1
  for word in $fixed; do
    ip addr add "$word" dev "$device" || misunderstood "ip= with $word" 'the kernel does not take this address'
    case $word in
      *:*) await_address6 "$device" || stop "NO NETWORK: $word is in use already on the network of $device." ;;
      *) address=${address:-$word} ;;
    esac
  done
  for word in $gateways; do
    ip route add default via "$word" dev "$device" ||
      misunderstood "ip= with the gateway $word" "it cannot be reached from $fixed"
    gateway=${gateway:-$word}
  done
  publish
}

# The kernel itself takes the prefix that a router advertises and makes an address of it; that has only to be awaited.
configure_by_router() {
  for device in $linked; do
    if await_address6 "$device"; then
      publish
      return
    fi
  done
  stop "NO NETWORK: no IPv6 address on$candidates in $ROUTER_WAIT_S s." \
    'See to the router advertisements of this network, or give this machine a fixed address (ip=).'
}

await_address6() {
  local polls=0
  find_address6 "$1"
  while [ -z "$address6" ]; do
    [ "$polls" -lt $((ROUTER_WAIT_S * POLLS_PER_S)) ] || return 1
    polls=$((polls + 1))
    sleep 0.2
    find_address6 "$1"
  done
}

# Sets address6: of the interface $1, for more than its own link, and not still being tried for another's use of it.
find_address6() {
  address6=$(ip -6 addr show dev "$1" |
    sed -n -e '/scope link/d' -e '/tentative/d' -e '/dadfailed/d' -e 's/^ *inet6 \([0-9a-f:]*\/[0-9]*\) .*$/\1/p' |
    head -n 1)
}

# --- for the agent

# Makes the network known: host name, /etc/resolv.conf and, last, the lease.
publish() {
  local word
  [ -z "$host_name" ] || hostname "$host_name"
  {
    [ -z "$domain" ] || echo "search $domain"
    for word in $name_servers; do echo "nameserver $word"; done
  } >/etc/resolv.conf.new
  mv /etc/resolv.conf.new /etc/resolv.conf
  mac=$(cat "/sys/class/net/$device/address")
  find_address6 "$device"
  cat >"$LEASE.new" <<END
METHOD=$method
DEVICE=$device
MAC=$mac
VLAN=$vlan_id
ADDRESS=$address
GATEWAY=$gateway
DNS=${name_servers# }
HOSTNAME=$host_name
DOMAIN=$domain
NEXT_SERVER=$next_server
ADDRESS6=$address6
END
  mv "$LEASE.new" "$LEASE"
}

# Sets what /init shows from the lease: of DHCP, another process knows.
read_lease() {
  local key value
  while IFS='=' read -r key value; do
    case $key in
      MAC) mac=$value ;;
      ADDRESS) address=$value ;;
      ADDRESS6) address6=$value ;;
      GATEWAY) gateway=$value ;;
      DNS) name_servers=$value ;;
      HOSTNAME) host_name=$value ;;
    esac
  done <"$LEASE"
}
