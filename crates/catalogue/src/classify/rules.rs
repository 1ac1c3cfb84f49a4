//! The rules by which a tool gets its category. They are data: the documentation's pages are written from them, and each
//! one's examples are tests.

use super::verbs::{ASSETS, BINDING, HANDING_OVER, OBLIGATIONS};
use crate::Category;

/// A rule. The first one that applies decides.
#[derive(Debug)]
pub struct Rule {
    /// Its name in reports, and that of its page.
    pub id: &'static str,
    /// What a tool is that it applies to.
    pub category: Category,
    /// What it saw, for a person: `it moves money`.
    pub says: &'static str,
    /// Why it is so, and where its bounds are.
    pub because: &'static str,
    /// When it applies.
    pub(crate) when: When,
    /// Names and descriptions that it applies to.
    pub examples: &'static [(&'static str, &'static str)],
    /// Those that it might seem to apply to, and does not.
    pub unlike: &'static [(&'static str, &'static str)],
}

/// When a rule applies.
#[derive(Debug)]
pub(crate) enum When {
    /// One of its verbs is of this category.
    Does(Category),
    /// One of these verbs acts on one of these things.
    DoesTo(&'static [&'static str], &'static [&'static str]),
    /// It takes code, a command line, or a query in a language that can also change things, and does not say that it only reads.
    TakesCode,
    /// The hint has this value.
    Hints(&'static str, bool),
    /// Its name only says what it shows.
    NamesAThing,
    /// Always.
    Otherwise,
}

/// All of them, in their order. The last one always applies.
pub static RULES: [Rule; 12] = [
    Rule {
        id: "pays",
        category: Category::Financial,
        says: "it moves money",
        because: "Its verb is one that only money follows: to pay, to buy, to refund. Money that has left does not come back by asking.",
        when: When::Does(Category::Financial),
        examples: &[
            ("pay_order", "Process payment for an authorised order"),
            ("topup_credits", "Adds credits to the account; charges the card on file"),
            ("refund", "Refund a customer"),
        ],
        unlike: &[("list_charges", "List charges"), ("get_refund", "Get the details for a specific refund")],
    },
    Rule {
        id: "hands-assets-over",
        category: Category::Financial,
        says: "it hands assets over",
        because: "To send, to swap or to sign is harmless with most things, and not with tokens, coins, shares or what is signed for a chain.",
        when: When::DoesTo(HANDING_OVER, ASSETS),
        examples: &[
            ("send_tokens", "Send USDC to an address"),
            ("swap", "Swap one token for another on a decentralised exchange"),
            ("sign_transaction", "Signs and broadcasts a transaction"),
        ],
        unlike: &[
            ("send_message", "Send a message to a channel"),
            ("swap_tabs", "Swaps two tabs of the browser"),
        ],
    },
    Rule {
        id: "binds-to-pay",
        category: Category::Financial,
        says: "it binds somebody to pay, or changes what is owed",
        because: "An order, an invoice, a subscription or a position costs money from the moment at which it is made, changed or carried out.",
        when: When::DoesTo(BINDING, OBLIGATIONS),
        examples: &[
            ("place_limit_order", "Places a limit order"),
            ("create_invoice", "Create a new invoice"),
            ("change_leverage", "Change the leverage of a position"),
        ],
        unlike: &[
            ("list_invoices", "List invoices with optional pagination and filtering"),
            ("manage_notification_subscription", "Manage notification subscription"),
        ],
    },
    Rule {
        id: "destroys",
        category: Category::Destructive,
        says: "it takes something away",
        because: "What is deleted, dropped, purged or revoked does not come back by itself. To overwrite is to write.",
        when: When::Does(Category::Destructive),
        examples: &[
            ("deleteConfluencePage", "Delete a Confluence page"),
            ("prune", "Clear all stored data and reset the knowledge graph"),
            ("manage_files", "List, rename or delete files"),
        ],
        unlike: &[("list_deleted_files", "List files that were deleted"), ("stop_server", "Stops a server")],
    },
    Rule {
        id: "takes-code",
        category: Category::Execute,
        says: "it runs what it is given",
        because: "An argument that is a program, a command line or a statement can ask for anything that the server may do.",
        when: When::TakesCode,
        examples: &[],
        unlike: &[],
    },
    Rule {
        id: "executes",
        category: Category::Execute,
        says: "it makes something run, or stops it",
        because: "To run, to deploy, to restart, to cancel or to drive a browser sets things going whose effects are not in the call.",
        when: When::Does(Category::Execute),
        examples: &[
            ("runMonitor", "Run a monitor"),
            ("actions_run_trigger", "Trigger GitHub Actions workflow actions"),
            ("ssh_cancel", ""),
        ],
        unlike: &[("list_runs", "List runs of a workflow"), ("search", "Performs a search of the web")],
    },
    Rule {
        id: "writes",
        category: Category::Write,
        says: "it makes or changes something, or sends a message",
        because: "Its verb changes what is there, adds to it, or tells somebody.",
        when: When::Does(Category::Write),
        examples: &[
            ("createJiraIssue", "Create a new Jira issue"),
            ("issue_write", "Create or update issue"),
            ("slack_post_message", "Post a new message to a Slack channel"),
        ],
        unlike: &[("get_post", "Get a post"), ("list_updates", "Lists updates")],
    },
    Rule {
        id: "says-destructive",
        category: Category::Destructive,
        says: "its server says that it is destructive",
        because: "By the protocol an update that overwrites is destructive too, so a tool whose words say that it writes or executes is taken at its words. Who says that it reads, or nothing, is taken at this one. Hints raise a category, and never lower one: who wants to deceive hints at less.",
        when: When::Hints("destructiveHint", true),
        examples: &[],
        unlike: &[],
    },
    Rule {
        id: "says-it-writes",
        category: Category::Write,
        says: "its server says that it does not only read",
        because: "A server that takes the trouble to say so knows.",
        when: When::Hints("readOnlyHint", false),
        examples: &[],
        unlike: &[],
    },
    Rule {
        id: "reads",
        category: Category::Read,
        says: "it only says that it reads",
        because: "Its verbs look and tell. That it does no more is its word; the name and the description are all that is seen.",
        when: When::Does(Category::Read),
        examples: &[
            ("getConfluencePage", "Get a specific Confluence page by ID"),
            ("query", "Run a read-only SQL query"),
            ("takeScreenshot", "Take a screenshot of the active tab"),
        ],
        unlike: &[("get_rid_of_user", "Deletes a user")],
    },
    Rule {
        id: "names-a-thing",
        category: Category::Read,
        says: "its name only says what it shows",
        because: "Tools that are called by a thing, such as `status` or `logs`, show it. Nothing else says so, so this is weak.",
        when: When::NamesAThing,
        examples: &[("account_balance", ""), ("logs", "")],
        unlike: &[("frobnicate", "")],
    },
    Rule {
        id: "says-nothing",
        category: Category::Write,
        says: "nothing says what it does",
        because: "Neither the name nor the description has a verb that is known. It is not taken for harmless.",
        when: When::Otherwise,
        examples: &[("frobnicate", ""), ("zap", "Zaps it.")],
        unlike: &[],
    },
];
