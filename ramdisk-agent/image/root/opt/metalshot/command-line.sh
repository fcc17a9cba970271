# Reads the kernel's command line. To be sourced.

# parameter NAME: the value of the last NAME=VALUE; nothing when there is none.
parameter() (
  set -f
  value=
  for word in $(cat "${COMMAND_LINE:-/proc/cmdline}"); do
    case $word in
      "$1="*) value=${word#*=} ;;
    esac
  done
  echo "$value"
)

# has_parameter NAME: whether NAME or NAME=VALUE is there.
has_parameter() (
  set -f
  for word in $(cat "${COMMAND_LINE:-/proc/cmdline}"); do
    case $word in
      "$1" | "$1="*) return 0 ;;
    esac
  done
  return 1
)

# boot_address: the MAC address of BOOTIF=01-aa-bb-cc-dd-ee-ff as sysfs writes it; nothing when there is none.
boot_address() {
  parameter BOOTIF | sed -n -r 's/^01-(([0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2})$/\1/p' | tr 'A-F-' 'a-f:'
}
