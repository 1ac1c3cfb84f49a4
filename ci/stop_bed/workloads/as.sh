# sh as.sh FOLDER COMMAND...: writes the mark and becomes the command.
read -r self </proc/self/stat
printf '%s\n' "$self" >>"$1/marks"
shift
exec "$@"
