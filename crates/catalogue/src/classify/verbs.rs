//! The verbs by which tools say what they do.
//!
//! A verb stands in the list of the gravest thing that it usually means for a tool. What only money or assets make grave is
//! in [`HANDING_OVER`] and [`BINDING`] too, with what it has to act on.

use crate::Category;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a verb means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verb {
    pub(crate) root: &'static str,
    pub(crate) category: Category,
}

/// The verb that a word is, or an inflection of.
pub(crate) fn verb(word: &str) -> Option<Verb> {
    static ALL: LazyLock<HashMap<&'static str, Category>> = LazyLock::new(|| {
        let lists = [
            (READING, Category::Read),
            (WRITING, Category::Write),
            (EXECUTING, Category::Execute),
            (DESTROYING, Category::Destructive),
            (PAYING, Category::Financial),
        ];
        // What hands over or binds changes something in any case.
        let changing = [HANDING_OVER, BINDING].into_iter().flatten().map(|verb| (*verb, Category::Write));
        let own =
            lists.into_iter().flat_map(|(list, category)| list.iter().map(move |verb| (*verb, category)));
        changing.chain(own).collect()
    });
    crate::words::roots(word).find_map(|root| {
        let (root, category) = ALL.get_key_value(root.as_str())?;
        Some(Verb { root, category: *category })
    })
}

/// Looks and tells.
pub(crate) const READING: &[&str] = &[
    "access", "aggregate", "analyse", "analyze", "answer", "ask", "assess", "audit", "autocomplete", "browse",
    "calculate", "capture", "cat", "check", "classify", "collect", "compare", "compute", "consult", "convert",
    "count", "crawl", "decode", "decompile", "describe", "detect", "determine", "diagnose", "diff", "disassemble",
    "discover", "display", "download", "echo", "encode", "enumerate", "estimate", "examine", "explain", "explore", "export",
    "extract", "fetch", "filter", "find", "forecast", "format", "gather", "geocode", "get", "glob", "grep", "guide",
    "hash", "head", "help", "identify", "infer", "inspect", "introspect", "iterate", "know", "learn", "lint",
    "list", "load", "locate", "lookup", "ls", "map", "match", "measure", "monitor", "observe", "obtain", "paginate",
    "parse", "peek", "ping", "plan", "poll", "predict", "preview", "print", "probe", "profile", "provide", "query",
    "rank", "read", "recall", "receive", "recommend", "report", "resolve", "retrieve", "return", "review", "sample",
    "scan", "score", "scrape", "screenshot", "search", "see", "show", "snapshot", "sort", "stat", "suggest",
    "summarise", "summarize", "surface", "tail", "take", "test", "think", "track", "translate", "tree",
    "understand", "validate", "verify", "view", "watch", "whoami",
];

/// Makes, changes or sends something.
pub(crate) const WRITING: &[&str] = &[
    "accept", "acknowledge", "activate", "add", "adjust", "alter", "annotate", "append", "apply", "approve",
    "assign", "attach", "autofix", "bind", "block", "bookmark", "book", "branch", "cast", "change", "clone",
    "comment", "commit", "complete", "compose", "configure", "confirm", "copy", "create", "customize", "deactivate",
    "decline", "define", "design", "disable", "draft", "drag", "draw", "duplicate", "edit", "email", "embed",
    "emulate", "enable", "establish", "export", "fill", "fix", "follow", "fork", "forward", "generate", "grant",
    "handle", "hide", "hover", "import", "increment", "index", "ingest", "init", "initialise", "initialize",
    "insert", "instantiate", "invite", "issue", "join", "label", "like", "link", "lock", "log", "make", "manage",
    "mark", "memorize", "merge", "message", "modify", "move", "mute", "name", "notify", "open", "optimize",
    "organize", "overwrite", "patch", "persist", "pin", "post", "prepare", "promote", "propose", "provision",
    "publish", "push", "put", "react", "record", "refactor", "refresh", "register", "reject", "relabel", "remember",
    "rename", "reorder", "replace", "reply", "request", "resend", "resize", "restore", "reopen", "rotate", "save", "schedule",
    "send", "set", "setup", "share", "sign", "star", "store", "submit", "subscribe", "switch", "sync",
    "synchronize", "tag", "toggle", "transform", "transition", "tweet", "unarchive", "undo", "unhide", "unlock",
    "unpin", "update", "upgrade", "upload", "upsert", "upvote", "vote", "write",
];

/// Makes something run, drives something, or stops it.
pub(crate) const EXECUTING: &[&str] = &[
    "abort", "automate", "boot", "build", "call", "cancel", "click", "close", "compile", "continue", "debug",
    "deploy", "dial", "dispatch", "drive", "end", "eval", "evaluate", "exec", "execute", "goto", "install", "interact",
    "interrupt", "invoke", "kill", "launch", "migrate", "navigate", "operate", "pause", "perform", "play", "press",
    "reboot", "redeploy", "reload", "replay", "rerun", "restart", "resume", "retry", "rollback", "run", "scroll",
    "shutdown", "simulate", "sleep", "spawn", "start", "stop", "suspend", "tap", "terminate", "train", "trigger",
    "type", "visit", "wait",
];

/// Takes something away.
pub(crate) const DESTROYING: &[&str] = &[
    "archive", "ban", "clean", "cleanup", "clear", "delete", "deprovision", "deregister", "destroy", "detach",
    "discard", "drop", "empty", "erase", "evict", "expunge", "flush", "kick", "leave", "nuke", "obliterate",
    "prune", "purge", "remove", "reset", "revoke", "rm", "rmdir", "shred", "trash", "truncate", "unassign",
    "uninstall", "unlink", "unpublish", "unregister", "unset", "unshare", "unsubscribe", "wipe",
];

/// Moves money by itself, whatever it acts on.
pub(crate) const PAYING: &[&str] = &[
    "airdrop", "buy", "charge", "checkout", "deposit", "disburse", "donate", "invest", "lend", "liquidate",
    "overpay", "pay", "payout", "prepay", "purchase", "refund", "reimburse", "repay", "sell", "topup", "unstake",
    "withdraw",
];

/// Of these verbs those that hand something over, or make it another's.
pub(crate) const HANDING_OVER: &[&str] = &[
    "approve", "bid", "borrow", "bridge", "broadcast", "burn", "claim", "collect", "convert", "distribute",
    "exchange", "fund", "mint", "move", "redeem", "send", "settle", "sign", "spend", "stake", "submit", "swap",
    "sweep", "tip", "top", "trade", "transfer", "wire", "wrap", "unwrap",
];

/// What is handed over then: assets.
pub(crate) const ASSETS: &[&str] = &[
    "asset", "balance", "btc", "cash", "coin", "coins", "credit", "crypto", "dai", "dividend", "erc20", "eth",
    "ether", "fund", "lamport", "liquidity", "money", "nft", "sat", "satoshi", "sol", "stake", "stock", "share",
    "token", "transaction", "tx", "usd", "usdc", "usdt", "wallet", "wei", "xrp",
];

/// Of all verbs those that bring an obligation about, change it, or carry it out.
pub(crate) const BINDING: &[&str] = &[
    "accept", "add", "adjust", "apply", "approve", "authorize", "cancel", "capture", "change", "close", "complete",
    "confirm", "create", "execute", "finalise", "finalize", "generate", "increase", "initiate", "issue", "make",
    "modify", "open", "place", "post", "process", "release", "schedule", "send", "set", "settle", "start", "submit",
    "trigger", "update", "void",
];

/// What binds: obligations to pay, and what is owed.
pub(crate) const OBLIGATIONS: &[&str] = &[
    "autopay", "bid", "bill", "billing", "bounty", "buyback", "charge", "checkout", "dispute", "donation", "escrow",
    "invoice", "leverage", "loan", "mandate", "mortgage", "order", "orders", "payment", "payments", "payout",
    "payroll", "payouts", "position", "purchase", "reimbursement", "refund", "settlement", "subscription", "trade",
    "transfer", "withdrawal",
];
