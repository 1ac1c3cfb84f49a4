# A child in a session of its own.
staying setsid >/dev/null 2>&1 &
lead
