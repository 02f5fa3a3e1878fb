#!/bin/sh
# udhcpc starts this for every event of its lease. The environment holds the server's words, and from network.sh what the
# kernel command line says: host_name, name_servers, vlan_id.
set -eu
. /usr/lib/swarmboot/network.sh
take_dhcp_event "$1"
