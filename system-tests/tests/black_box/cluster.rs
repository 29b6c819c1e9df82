//! RabbitMQ as a cluster: its nodes die and are cut off under load, and it all goes on and heals by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;

use crate::customers::Customers;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::stack::{self, Stack};

const CLIENTS: usize = 4;
const NODES: [&str; 3] = ["rabbitmq", "rabbitmq-2", "rabbitmq-3"];
/// A queue of whose leader something is expected.
const QUEUE: &str = "payment-create-event";

#[test]
fn no_node_of_a_cluster_is_missed() {
    let cluster = Cluster::start("cluster-stack", &["--fresh", "--replicas", "2"]);
    cluster.has_all_queues_everywhere();
    let Stack { gateway, postgres, .. } = cluster.stack.now();
    let customers = Customers::begin(&gateway, CLIENTS);
    customers.go_on();

    let (leader, before) = (cluster.leader(NODES[0]), cluster.stack.now());
    before.process(leader).kill();
    customers.go_on();
    cluster.stack.once_restarted(leader, &before);
    cluster.has_all_queues_everywhere();

    let before = cluster.stack.now();
    for node in NODES {
        let cut = cluster.cut_off(node);
        eventually("who is alone stands still", || {
            if before.process(node).listens() { Err("it takes connections") } else { Ok(()) }
        });
        customers.go_on();
        let other = NODES.into_iter().find(|other| *other != node).expect("there are others");
        assert_ne!(cluster.leader(other), node, "those who are many have not chosen another leader");
        cut.mend();
        cluster.has_all_queues_everywhere();
    }
    assert_eq!(cluster.stack.now().restarts(), before.restarts(), "it has not healed by itself");
    customers.go_on();
    customers.finish(&postgres);
}

#[test]
fn the_queues_of_a_node_grow_onto_those_that_join_it() {
    const STACK: &str = "growing-stack";
    let alone = OwnStack::start_from(STACK, &["--fresh"], &[]);
    let Stack { gateway, postgres, .. } = alone.now();
    let customers = Customers::begin(&gateway, 1);
    customers.go_on();
    customers.finish(&postgres);
    drop(alone);
    let cluster = Cluster::start(STACK, &[]);
    cluster.has_all_queues_everywhere();
    let Stack { gateway, postgres, .. } = cluster.stack.now();
    let customers = Customers::begin(&gateway, 1);
    cluster.stack.now().process(NODES[0]).kill();
    customers.go_on();
    customers.finish(&postgres);
}

/// RabbitMQ counts on them to hand out what somebody has subscribed to there.
#[test]
fn a_node_without_its_members_of_the_queues_withholds_nothing_for_long() {
    let cluster = Cluster::start("memberless-stack", &["--fresh"]);
    cluster.has_all_queues_everywhere();
    let Stack { gateway, postgres, .. } = cluster.stack.now();
    let customers = Customers::begin(&gateway, CLIENTS);
    customers.go_on();
    let node = cluster.node_of_consumer();
    cluster.for_each_member(node, "stop_server");
    customers.go_on();
    cluster.for_each_member(node, "restart_server");
    cluster.has_all_queues_everywhere();
    customers.finish(&postgres);
}

struct Cluster {
    stack: OwnStack,
    /// Given back once the stack has ended.
    _turn: File,
}

/// A node that is cut off from the others.
struct Cut<'a> {
    cluster: &'a Cluster,
    node: &'static str,
}

impl Cluster {
    #[track_caller]
    fn start(name: &str, arguments: &[&str]) -> Self {
        let turn = stack::turn_of_clusters();
        Self { stack: OwnStack::start_from(name, &[arguments, &["--brokers", "3"]].concat(), &[]), _turn: turn }
    }

    #[track_caller]
    fn has_all_queues_everywhere(&self) {
        eventually("every queue has three members that are there", || {
            let queues =
                self.queues(NODES[0], "length(proplists:get_value(online, rabbit_amqqueue:info(Queue, [online])))")?;
            let everywhere = NODES.len().to_string();
            let are_complete = queues.len() >= 9 && queues.iter().all(|(_, members)| *members == everywhere);
            if are_complete { Ok(()) } else { Err(format!("{queues:?}")) }
        });
    }

    /// The node that leads the queue, as another one knows.
    #[track_caller]
    fn leader(&self, asked: &str) -> &'static str {
        eventually("the queue has a leader", || {
            let leaders = self.queues(asked, "proplists:get_value(leader, rabbit_amqqueue:info(Queue, [leader]))")?;
            node_in(&leaders).ok_or_else(|| format!("{leaders:?}"))
        })
    }

    /// Where the one who consumes the queue is connected.
    #[track_caller]
    fn node_of_consumer(&self) -> &'static str {
        eventually("somebody consumes the queue", || {
            let consumers =
                self.queues(NODES[0], "[node(element(1, Consumer)) || Consumer <- rabbit_amqqueue:consumers(Queue)]")?;
            node_in(&consumers).ok_or_else(|| format!("{consumers:?}"))
        })
    }

    /// The queues as a node knows them, each with what Erlang says of it.
    fn queues(&self, asked: &str, of_each: &str) -> Result<BTreeMap<String, String>, String> {
        let name = "element(4, amqqueue:get_name(Queue))";
        let told = format!(r#"io:format("~s\t~w~n", [{name}, {of_each}])"#);
        let lines = self.evaluate(asked, &format!("[{told} || Queue <- rabbit_amqqueue:list()]"))?;
        let queues = lines.iter().filter_map(|line| line.split_once('\t'));
        Ok(queues.map(|(name, what)| (name.to_owned(), what.to_owned())).collect())
    }

    /// Calls this function of Raft with the node's members of all queues.
    #[track_caller]
    fn for_each_member(&self, node: &str, function: &str) {
        let member = "{element(1, amqqueue:get_pid(Queue)), node()}";
        let call = format!("[ra:{function}(quorum_queues, {member}) || Queue <- rabbit_amqqueue:list()]");
        self.evaluate(node, &call).expect("it is done");
    }

    /// Its connections to the other nodes are closed, and neither it nor they can open new ones: they do not know each
    /// other's cookies any more. Clients reach it as before.
    #[track_caller]
    fn cut_off(&self, node: &'static str) -> Cut<'_> {
        self.for_each_other(node, "erlang:set_cookie(Other, cut_off), erlang:disconnect_node(Other)");
        Cut { cluster: self, node }
    }

    /// Has a node do something about each of the others.
    #[track_caller]
    fn for_each_other(&self, node: &str, doing: &str) {
        let others = NODES.into_iter().filter(|other| *other != node).map(|other| format!("'{}'", erlang_name(other)));
        let others = others.collect::<Vec<_>>().join(",");
        self.evaluate(node, &format!("[begin {doing} end || Other <- [{others}]]")).expect("it is done");
    }

    /// What a node prints, line by line, when it evaluates that.
    fn evaluate(&self, node: &str, erlang: &str) -> Result<Vec<String>, String> {
        let eval = self.stack.dir().join(node).join("eval");
        let answer =
            Command::new(eval).arg(format!("begin {erlang}, done end.")).output().expect("Erlang can be asked");
        let printed = String::from_utf8_lossy(&answer.stdout);
        let lines = printed.strip_suffix("{ok, done}").ok_or_else(|| format!("{answer:?}"))?;
        Ok(lines.lines().map(str::to_owned).collect())
    }
}

impl Cut<'_> {
    #[track_caller]
    fn mend(self) {
        self.cluster.for_each_other(self.node, "erlang:set_cookie(Other, erlang:get_cookie())");
    }
}

/// The one of which something is said about the queue.
fn node_in(queues: &BTreeMap<String, String>) -> Option<&'static str> {
    let said = queues.get(QUEUE)?;
    NODES.into_iter().find(|node| said.contains(&format!("'{}'", erlang_name(node))))
}

/// What Erlang calls a node.
fn erlang_name(node: &str) -> String {
    format!("{}@localhost", node.replacen("rabbitmq", "order-processing", 1))
}
