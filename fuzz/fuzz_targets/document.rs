//! Any text as a document, in each notation: a tree or a list of mistakes that lie inside the text and can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_document::{Document, Reading};

fuzz_target!(|text: &str| {
    for file in ["document.json", "document.yaml", "document.toml"] {
        match Document::read(file, text) {
            Err(problems) => assert!(!problems.to_string().is_empty()),
            Ok(document) => {
                let reading = Reading::new(&document);
                if let Some(fields) = reading.root().fields() {
                    fields.finish();
                }
                let _ = reading.finish().to_string();
            }
        }
    }
});
