# A loop in a session of its own that starts its child again whenever it ends.
setsid sh "$parts/as.sh" "$here" sh "$parts/respawning-inner.sh" "$parts" "$here" >/dev/null 2>&1 &
lead
