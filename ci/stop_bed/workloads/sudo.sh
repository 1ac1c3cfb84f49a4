# A child of root by sudo, and where we are root one of another user too.
staying sudo -n >/dev/null 2>&1 &
[ "$(id -u)" != 0 ] || staying sudo -n -u nobody >/dev/null 2>&1 &
lead
