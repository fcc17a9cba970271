/** How the first process ends when the machine resets itself. */
export const RESET_EXIT_CODE = 64;
/** What a program on the machine runs to reset it: the first process is told, which elsewhere would harm nothing. */
export const RESET_COMMAND: readonly string[] = ['kill', '-HUP', '1'];

/**
 * The first process of a simulated machine's own PID and mount namespace, as a ramdisk's `/init` is: it makes what is the
 * machine's memory (gone at power-off), and starts the agent again whenever it dies. It is a shell because a shell reaps
 * the orphans that a daemon like mount.davfs leaves to PID 1. Values come as positional arguments only:
 * run directory, bytes of memory that file systems may take, then the agent's command.
 */
export const MACHINE_INIT = `
set -eu
run_directory=$1 memory_bytes=$2
shift 2
agent= stopping=
trap 'stopping=yes; [ -z "$agent" ] || kill -TERM "$agent" 2>/dev/null || :' TERM
trap 'exit ${RESET_EXIT_CODE}' HUP

group=$(getent group davfs2 | cut -d: -f3)
mkdir -p /run/mount.davfs /var/cache/davfs2
mount -t tmpfs -o "size=1m,mode=1775,gid=\${group:-0}" machine /run/mount.davfs
mount -t tmpfs -o "size=$memory_bytes,mode=1775,gid=\${group:-0}" machine /var/cache/davfs2
mount -t tmpfs -o "size=$memory_bytes,mode=700" machine "$run_directory"

while [ -z "$stopping" ]; do
  "$@" &
  agent=$! code=0
  wait "$agent" || code=$?
  while kill -0 "$agent" 2>/dev/null; do code=0; wait "$agent" || code=$?; done
  agent=
  [ -n "$stopping" ] || { echo "machine: the agent ended with exit code $code and is started again" >&2; sleep 1; }
done
`;
