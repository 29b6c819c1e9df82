//! The gateway holds a body with a card until the service has answered; not even then is it in a file.
//!
//! nginx deletes its temporary files as soon as it has opened them, so no search of its folders would ever find one.
//! They are found where the kernel lists what a process has open.

use std::fs;
use std::path::PathBuf;
use std::thread;

use crate::client::{SLOW_CARD, User, card_details};
use crate::secrets::{Search, Secret};
use crate::stack::{self, Stack};

#[test]
fn the_gateway_writes_no_body_to_a_file() {
    let (_stack, user) = (stack::shared(), User::demo());
    let order = user.place_order();
    // As long as a body may be.
    let body = card_details(SLOW_CARD).to_string();
    let body = format!("{body}{}", " ".repeat(64 * 1024 - body.len()));
    let client = user.clone();
    let paying = thread::spawn(move || {
        client.try_send_text("POST", &format!("/api/payments/pay/{order}"), Some(body), &[]).expect("an answer")
    });
    user.payment_becomes(&order, "processing");

    let open = files_of_the_gateway();
    assert!(!paying.is_finished(), "the gateway held the body no more when its files were listed");
    let has_its_log = open.iter().any(|(file, _)| file.ends_with("gateway-access.log"));
    assert!(has_its_log, "the open files of the gateway were not listed");
    let search = Search::new([Secret::Number(SLOW_CARD)]);
    for (file, text) in &open {
        assert!(search.find(text).is_empty(), "{} has the card", file.display());
    }
    assert_eq!(paying.join().expect("no panic").status, 200);
}

/// Every file that nginx has open, deleted or not, with what is in it.
fn files_of_the_gateway() -> Vec<(PathBuf, Vec<u8>)> {
    let master = Stack::now().process("gateway").pid.expect("a running process has a pid");
    let workers = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("nginx has workers");
    let mut files = Vec::new();
    for worker in workers.split_whitespace() {
        for open in fs::read_dir(format!("/proc/{worker}/fd")).expect("a worker's files are listed").flatten() {
            // The others are pipes, sockets and devices, which are never read to their end.
            let is_file = fs::metadata(open.path()).is_ok_and(|what| what.is_file());
            if is_file && let (Ok(name), Ok(text)) = (fs::read_link(open.path()), fs::read(open.path())) {
                files.push((name, text));
            }
        }
    }
    files
}
