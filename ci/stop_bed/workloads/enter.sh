# sh enter.sh FOLDER WORKLOAD PORT: becomes the leader of a workload, which keeps its pid.
#
# Each process that stays writes its line of /proc to FOLDER/marks as its first act: that list is how the harness knows
# who has to be dead, and no manager reads it. Each ends by itself in the end. PORT is 0, or where the leader answers
# HTTP, for managers that ask for that.
here=$1 workload=$2 PORT=$3 parts=${0%/*}
export PORT
# A manager may start it again after its end. It comes only once.
mkdir "$here/started" 2>/dev/null || exit 0
cd "$here" || exit 1

mark() {
  read -r self </proc/self/stat
  printf '%s\n' "$self" >>"$here/marks"
}
# Starts a process that writes its mark and stays. In front of it may stand what it is started by.
staying() { "$@" sh "$parts/as.sh" "$here" sleep 600; }
lead() {
  mark
  [ "$PORT" = 0 ] || exec node "$parts/lead.cjs"
  exec sleep 600
}

. "$parts/$workload.sh"
