# shellcheck shell=sh disable=SC2317,SC2329
# The tables call these functions, which shellcheck cannot see.
#
# Restores the network of this node as it was before a change. Needs neither the agent's image nor its pod: plain sh with
# the host's ip, and nmcli or netplan where the change was about them. Runs under flock on the agent's lock.
#
# The agent writes the data of the change above this text: settings in capitals, and tables such as each_nic, which call
# the command that they are given once for each of their lines. A second run ends the same as the first. The record of
# the change stays: the next agent finds nothing left to undo, and says so.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# A timeout of each nmcli call, and the wait for a profile whose activation ends by itself.
NMCLI_SECONDS=10
ACTIVATION_SECONDS=5

# Prints the name of the NIC with this MAC. A bond gives its members its own MAC, so the permanent one counts where the
# NIC has one. The first match counts, because VLANs come later. Only the part before link/ether of a line is the link's
# own: the MACs of its virtual functions follow.
nic() {
  links=$(ip -o link show)
  own='^[^\]*\\ *link/ether'
  {
    printf '%s\n' "$links" | grep "$own [^ ]* .*permaddr $1" ||
      printf '%s\n' "$links" | grep -v ' permaddr ' | grep "$own $1 "
  } | sed -n -e 's/^[0-9]*: \([^:@]*\).*/\1/p' -e q
}

# Puts the name of the NIC with this MAC in n. Fails where the machine has no such NIC.
find_nic() {
  n=$(nic "$1") && [ -n "$n" ]
}

# restore_file PATH [MODE CONTENT-IN-BASE64]: without content there was no such file.
restore_file() {
  if [ $# = 1 ]; then
    rm -f "$1" || ok=no
    return
  fi
  temporary=${1%/*}/.multinic-tmp-restore-${1##*/}
  {
    printf %s "$3" | base64 -d >"$temporary" &&
      chmod "$2" "$temporary" &&
      mv -f "$temporary" "$1"
  } || ok=no
}

# restore_ipv6 MAC ACCEPT_RA ADDR_GEN_MODE LINK_LOCAL: before the link comes up, because the settings count then. The
# kernel makes a link-local address when addr_gen_mode is written, also on a link that is down, and never removes it.
restore_ipv6() {
  find_nic "$1" || return 0
  settings=/proc/sys/net/ipv6/conf/$n
  echo "$2" >"$settings/accept_ra"
  [ "$(cat "$settings/addr_gen_mode")" != "$3" ] || return 0
  echo "$3" >"$settings/addr_gen_mode"
  if [ "$3" = "$NO_LINK_LOCAL" ] || [ -z "$(ip -o link show dev "$n" up)" ]; then
    ip addr del "$4/64" dev "$n" 2>/dev/null
  fi
}

# Below an MTU of 1280 the kernel has no IPv6 settings for a link, so a NIC that is to have them gets its MTU first.
raise_mtu() {
  find_nic "$2" || return 0
  now=$(cat "/sys/class/net/$n/mtu" 2>/dev/null) || return 0
  [ "$now" -ge 1280 ] || ip link set "$n" mtu "$5"
}

# A line of each_nic: INDEX MAC NAME NAME-BY-MAC MTU up|down ADDRESSES ADDRESSES-OF-THE-CHANGE METRIC ADDRESSES-WITH-METRIC

# All NICs with a wrong name step aside first, so that names that had changed places are free.
step_aside() {
  find_nic "$2" || return 0
  [ "$n" != "$3" ] || return 0
  renamed=yes
  ip link set "$n" down
  ip link set "$n" name "mnrestore$1"
}

take_name() {
  find_nic "$2" || return 0
  [ "$n" = "$3" ] || give_name "$3" "$4" || ok=no
}

# give_name NAME NAME-BY-MAC: udev (systemd 245 to 253) keeps an old name as an alternative name, which blocks the name
# until it is removed. Where another NIC has the name by now, this NIC gets the second one.
give_name() {
  # shellcheck disable=SC2034
  for try in 1 2 3 4 5; do
    ip link property del dev "$n" altname "$1" 2>/dev/null
    ip link set "$n" name "$1" && return
    [ ! -e "/sys/class/net/$1" ] || break
    sleep 0.2
  done
  ip link property del dev "$n" altname "$2" 2>/dev/null
  ip link set "$n" name "$2" && [ -e "/sys/class/net/$1" ]
}

restore_link() {
  find_nic "$2" || return 0
  ip link set "$n" mtu "$5" || ok=no
  ip link set "$n" "$6" || ok=no
  add_addresses "$7" "$9" "${10}"
  for address in $8; do
    ip addr del "$address" dev "$n" 2>/dev/null
  done
  # Where promote_secondaries is off, an address that leaves takes those of its subnet along.
  add_addresses "$7" "$9" "${10}"
}

# remove_rule FAMILY PRIORITY WORDS: a rule may stand twice, once of the kernel's protocol and once of networkd's.
remove_rule() {
  # shellcheck disable=SC2034
  for try in 1 2 3 4; do
    # shellcheck disable=SC2086
    ip "$1" rule del $3 priority "$2" 2>/dev/null || return 0
  done
}

# remove_route MAC FAMILY WORD...
remove_route() {
  find_nic "$1" || return 0
  family=$2
  shift 2
  ip "$family" route del "$@" dev "$n" 2>/dev/null
}

# add_rule FAMILY PRIORITY WORDS: never a second one beside one that stayed, or that a network manager has added, which
# `ip` shows with the protocol of that manager.
add_rule() {
  ! ip -N "$1" rule show | grep -q "^$2:[[:space:]]*$3\( proto [^ ]*\)\{0,1\} *\$" || return 0
  # shellcheck disable=SC2086
  ip "$1" rule add $3 priority "$2" protocol kernel || ok=no
}

# add_route MAC FAMILY WORD...: the kernel takes an IPv6 address that has just come as a source only later.
add_route() {
  find_nic "$1" || return 0
  family=$2
  shift 2
  # The kernel makes the connected route of an address by itself, unless networkd told it not to.
  case "$*" in
    *" via "*) ;;
    *" table 254"*)
      ip "$family" route add "$@" dev "$n" proto static 2>/dev/null
      return 0
      ;;
  esac
  # A profile of NetworkManager that is active again has its routes, with a metric of its own.
  [ -z "$(ip "$family" route show "$@" dev "$n" 2>/dev/null)" ] || return 0
  # shellcheck disable=SC2034
  for try in 1 2 3 4 5 6 7 8 9 10; do
    ip "$family" route replace "$@" dev "$n" proto static && return
    sleep 0.3
  done
  ok=no
}

# restore_sysctl MAC KEY VALUE
restore_sysctl() {
  find_nic "$1" || return 0
  echo "$3" >"/proc/sys/net/ipv4/conf/$n/$2" || ok=no
}

# add_addresses ADDRESSES METRIC ADDRESSES-WITH-METRIC: an address that is there already gets, or loses, the metric of its
# connected route. Where a network manager makes that route itself, the address stays as it is.
add_addresses() {
  for address in $1; do
    ! ip -o addr show dev "$n" | grep -q " $address .* noprefixroute" || continue
    case " $3 " in
      *" $address "*) metric="metric $2" ;;
      *) metric= ;;
    esac
    # shellcheck disable=SC2086
    case $address in
      *:*) ip addr replace "$address" dev "$n" $metric || ok=no ;;
      *) ip addr replace "$address" dev "$n" brd + $metric || ok=no ;;
    esac
  done
}

# Adds routes, rules, addresses and neighbours of other software. The kernel refuses what is there already, or has another
# way by now, and takes an address that has just come as a source only later: so this runs more than once.
restore_foreign() {
  each_foreign ip 2>/dev/null
}

networkd_is_done() {
  for state in /run/systemd/netif/links/*; do
    [ -e "$state" ] || continue
    grep -Eq "$NETWORKD_WAITS" "$state" || ! grep -Eq "$NETWORKD_WORKS" "$state" || return 1
  done
}

# networkd may drop what is restored while it still works.
await_networkd() {
  tries=$NETWORKD_TRIES
  while [ "$tries" -gt 0 ] && ! networkd_is_done; do
    sleep 0.2
    tries=$((tries - 1))
  done
}

# The managers whose files have changed read them again, if the change came to that.
reload_managers() {
  grep -qF '"reload": true' "$RECORD" || return 0
  if [ -n "$HAS_NETPLAN_FILES" ]; then
    timeout "$APPLY_SECONDS" netplan apply || ok=no
    await_networkd
  fi
  if [ -n "$HAS_PROFILES" ]; then
    timeout "$APPLY_SECONDS" systemctl restart NetworkManager || ok=no
  fi
}

load_profile() {
  timeout "$NMCLI_SECONDS" nmcli connection load "$1"
}

# activate_profile MAC UUID-OR-FILE: NetworkManager learns of a name later than the kernel, so this tries again.
activate_profile() {
  find_nic "$1" || return 0
  ip link set "$n" up
  # shellcheck disable=SC2034
  for try in 1 2 3; do
    uuid=$(uuid_of "$2")
    timeout "$NMCLI_SECONDS" nmcli --wait "$(patience "$uuid")" connection up uuid "$uuid" ifname "$n" && return
    sleep 1
  done
  ok=no
}

# A profile without a uuid in its file goes by the file: NetworkManager chooses the uuid.
uuid_of() {
  case $1 in
    /*) timeout "$NMCLI_SECONDS" nmcli -g UUID,FILENAME connection show | sed -n "s|:$1\$||p" ;;
    *) echo "$1" ;;
  esac
}

# A profile that NetworkManager made by itself asks for DHCP, which may never answer.
patience() {
  if timeout "$NMCLI_SECONDS" nmcli -g UUID,FILENAME connection show | grep -Eq "^$1:$RUNTIME_PROFILES"; then
    echo 0
  else
    echo "$ACTIVATION_SECONDS"
  fi
}

# give_back MAC: NetworkManager manages the NIC again, where it runs.
give_back() {
  find_nic "$1" || return 0
  timeout "$NMCLI_SECONDS" nmcli device set "$n" managed yes
}

# let_go MAC: before NetworkManager hears that the profile of the NIC is gone, because it would take the addresses away.
let_go() {
  find_nic "$1" || return 0
  timeout "$NMCLI_SECONDS" nmcli device set "$n" managed no
}

# The change is over, or another one runs: nothing to do.
grep -qF "\"startedAt\": \"$STARTED_AT\"" "$RECORD" || exit 0

ok=yes
renamed=
# The managers read their files again: what they may have written themselves is not added.
# shellcheck disable=SC2034
reloaded=$(grep -F '"reload": true' "$RECORD")
each_file restore_file
each_unmanaged let_go
each_unrule remove_rule
each_unroute remove_route
each_sysctl restore_sysctl
each_nic raise_mtu
each_ipv6 restore_ipv6
each_nic step_aside
each_nic take_name
# networkd configures a NIC again that it has a file for, and drops foreign state with that.
if [ -n "$renamed" ]; then
  sleep 0.1
  restore_foreign
  await_networkd
fi
reload_managers
[ -z "$HAS_MANAGER_SETTINGS" ] || timeout "$NMCLI_SECONDS" nmcli general reload conf
[ -z "$HAS_PROFILES" ] || each_managed give_back
each_profile_file load_profile
each_profile activate_profile
each_nic restore_link
each_managed give_back
each_route add_route
each_rule add_rule
if [ -n "$HAS_FOREIGN_STATE" ]; then
  restore_foreign
  sleep "$FOREIGN_SECONDS"
  restore_foreign
fi
# After a failure the script stays, and the next agent does it all again.
[ "$ok" = no ] || rm -f "$SCRIPT"
sync
exit 0
