# Beside the leader a node program with two workers: one attached, one detached.
node "$parts/workers.cjs" "$parts" "$here" >/dev/null 2>&1 &
lead
