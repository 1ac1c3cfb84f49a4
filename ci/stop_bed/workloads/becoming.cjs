// node becoming.cjs PATH ARGUMENT...: becomes that program. For managers that start nothing but node: whom they know by
// its pid is then the workload itself, and no wrapper stands between.
const [path, ...rest] = process.argv.slice(2);
process.execve(path, [path, ...rest], process.env);
