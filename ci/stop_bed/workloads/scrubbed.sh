# A daemon in a session of its own, without its environment and its parent.
(staying setsid env -i >/dev/null 2>&1 &)
lead
