# To be sourced, after command-line.sh and console.sh.

# hardware_interfaces: names of interfaces with a device behind them, one a line.
hardware_interfaces() {
  for path in "${SYS_NET:-/sys/class/net}"/*; do
    [ -e "$path/device" ] && echo "${path##*/}"
  done
}

# interface_of ADDRESS: the first interface with this MAC address.
interface_of() {
  for name in $(hardware_interfaces); do
    if [ "$(cat "${SYS_NET:-/sys/class/net}/$name/address")" = "$1" ]; then
      echo "$name"
      return
    fi
  done
}

has_interface() { [ -n "$(interface_of "$1")" ]; }

describe_interfaces() {
  for name in $(hardware_interfaces); do echo "$name $(cat "/sys/class/net/$name/address")"; done | tr '\n' ' '
}

has_link() { [ "$(cat "/sys/class/net/$1/carrier" 2> /dev/null)" = 1 ]; }
has_lease() { [ -e "/run/metalshot/lease-$1" ]; }

# wait_for SECONDS COMMAND...: until it succeeds; fails when it has not in that time.
wait_for() {
  patience=$1
  shift
  while ! "$@"; do
    [ "$patience" -gt 0 ] || return 1
    patience=$((patience - 1))
    sleep 1
  done
}

# configure INTERFACE SECONDS: brings it up and gives it an address, on the VLAN if one is named. Waits so long for a link.
configure() {
  device=$1
  touch "/run/metalshot/tried-$device"
  ip link set "$device" up
  if ! wait_for "$2" has_link "$device"; then
    say "$device has no link"
    return 1
  fi
  vlan=$(parameter metalshot-vlan)
  if [ -n "$vlan" ]; then
    /usr/sbin/modprobe --quiet 8021q
    [ -e "/sys/class/net/$device.$vlan" ] || ip link add link "$device" name "$device.$vlan" type vlan id "$vlan" || return 1
    device=$device.$vlan
    ip link set "$device" up
  fi
  if has_parameter metalshot-ip; then
    set_address "$device" "$(parameter metalshot-ip)"
  else
    request_lease "$device"
  fi
}

# set_address DEVICE ADDRESS/PREFIX[,GATEWAY]
set_address() {
  ip address flush dev "$1" scope global
  ip address add "${2%%,*}" dev "$1" || return 1
  case $2 in
    *,*) ip route replace default via "${2#*,}" dev "$1" || return 1 ;;
  esac
  say "$1 has the address ${2%%,*}"
  touch /run/metalshot/network-ready
}

# request_lease DEVICE: the client goes on in the background, for renewals or until there is a lease.
request_lease() {
  keep_lease "$1" &
  wait_for "$LEASE_PATIENCE_S" has_lease "$1" && return
  say "no DHCP server has answered on $1 for $LEASE_PATIENCE_S seconds; still asking"
  return 1
}

keep_lease() {
  while :; do
    udhcpc --foreground --interface "$1" --script /usr/share/udhcpc/default.script --retries 5 --timeout 3 --tryagain 5 -O mtu -O staticroutes > /dev/null 2>&1
    sleep 5
  done
}
