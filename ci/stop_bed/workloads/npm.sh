# `npm run dev` around a node server that forks a worker.
printf '{ "private": true, "scripts": { "dev": "node \\"%s\\" \\"%s\\"" } }\n' "$parts/server.cjs" "$here" >package.json
printf 'update-notifier=false\ncache=%s/.npm\n' "$here" >.npmrc
mark
exec npm run --silent dev
