# A daemon of the old school: forked twice, in a session of its own, in the root folder. It has a child.
sh -c '(setsid sh "$0/daemon-inner.sh" "$0" "$1" &)' "$parts" "$here" >/dev/null 2>&1 </dev/null
lead
