require("./mark.cjs")(process.argv[2]);
process.on("disconnect", () => {}); // it goes on without its parent
setTimeout(() => process.exit(0), 600_000);
