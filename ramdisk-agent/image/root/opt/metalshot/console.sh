# To be sourced.

# say TEXT...: a line on every console that the kernel's command line names, not on the last one only, which /dev/console is.
say() {
  for console in $(cat /sys/class/tty/console/active); do
    echo "metalshot: $*" > "/dev/$console"
  done 2> /dev/null
}
