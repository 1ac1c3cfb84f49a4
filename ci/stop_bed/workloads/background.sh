# A grandchild in the background of a shell that is gone.
(staying >/dev/null 2>&1 &)
lead
