//! RabbitMQ as a cluster: its nodes die and are cut off under load, and it all goes on and heals by itself.

use std::process::Command;

use crate::customers::Customers;
use crate::own_stack::OwnStack;
use crate::polling::eventually;
use crate::stack::Stack;

const CLIENTS: usize = 4;
const NODES: [&str; 3] = ["rabbitmq", "rabbitmq-2", "rabbitmq-3"];
/// A queue of whose leader something is expected.
const QUEUE: &str = "payment-create-event";

#[test]
fn no_node_of_a_cluster_is_missed() {
    let cluster =
        Cluster(OwnStack::start_from("cluster-stack", &["--fresh", "--brokers", "3", "--replicas", "2"], &[]));
    cluster.has_all_queues_everywhere();
    let Stack { gateway, postgres, .. } = cluster.0.now();
    let customers = Customers::begin(&gateway, CLIENTS);
    customers.go_on();

    let (leader, before) = (cluster.leader(NODES[0]), cluster.0.now());
    before.process(leader).kill();
    customers.go_on();
    cluster.0.once_restarted(leader, &before);
    cluster.has_all_queues_everywhere();

    let before = cluster.0.now();
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
    assert_eq!(cluster.0.now().restarts(), before.restarts(), "it has not healed by itself");
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
    let cluster = Cluster(OwnStack::start_from(STACK, &["--brokers", "3"], &[]));
    cluster.has_all_queues_everywhere();
    let Stack { gateway, postgres, .. } = cluster.0.now();
    let customers = Customers::begin(&gateway, 1);
    cluster.0.now().process(NODES[0]).kill();
    customers.go_on();
    customers.finish(&postgres);
}

/// RabbitMQ counts on them to hand out what somebody has subscribed to there.
#[test]
fn a_node_without_its_members_of_the_queues_withholds_nothing_for_long() {
    let cluster = Cluster(OwnStack::start_from("memberless-stack", &["--fresh", "--brokers", "3"], &[]));
    cluster.has_all_queues_everywhere();
    let Stack { gateway, postgres, .. } = cluster.0.now();
    let customers = Customers::begin(&gateway, CLIENTS);
    customers.go_on();
    let node = cluster.node_of_consumer();
    cluster.for_each_member(node, "stop_server");
    customers.go_on();
    cluster.for_each_member(node, "restart_server");
    cluster.has_all_queues_everywhere();
    customers.finish(&postgres);
}

struct Cluster(OwnStack);

/// A node that is cut off from the others.
struct Cut<'a> {
    cluster: &'a Cluster,
    node: &'static str,
}

impl Cluster {
    #[track_caller]
    fn has_all_queues_everywhere(&self) {
        eventually("every queue has three members that are there", || {
            let queues = self.control(NODES[0], &["list_queues", "name", "online"])?;
            let are_complete =
                queues.len() >= 9 && queues.iter().all(|queue| queue.matches('@').count() == NODES.len());
            if are_complete { Ok(()) } else { Err(format!("{queues:?}")) }
        });
    }

    /// The node that leads the queue, as another one knows.
    #[track_caller]
    fn leader(&self, asked: &str) -> &'static str {
        eventually("the queue has a leader", || {
            let queues = self.control(asked, &["list_queues", "name", "leader"])?;
            let leader = queues.iter().find_map(|queue| queue.strip_prefix(QUEUE)?.strip_prefix('\t'));
            let found = NODES.into_iter().find(|node| leader == Some(erlang_name(node).as_str()));
            found.ok_or_else(|| format!("{queues:?}"))
        })
    }

    /// Where the one who consumes the queue is connected.
    #[track_caller]
    fn node_of_consumer(&self) -> &'static str {
        eventually("somebody consumes the queue", || {
            let consumers = self.control(NODES[0], &["list_consumers", "queue_name", "channel_pid"])?;
            let channel = consumers.iter().find_map(|consumer| consumer.strip_prefix(QUEUE)?.strip_prefix("\t<"));
            let is_of = |node: &&str| channel.is_some_and(|channel| channel.starts_with(&erlang_name(node)));
            NODES.into_iter().find(is_of).ok_or_else(|| format!("{consumers:?}"))
        })
    }

    /// Calls this function of Raft with the node's members of all queues.
    #[track_caller]
    fn for_each_member(&self, node: &str, function: &str) {
        let member = "{element(1, amqqueue:get_pid(Queue)), node()}";
        let call = format!("[ra:{function}(quorum_queues, {member}) || Queue <- rabbit_amqqueue:list()].");
        self.control(node, &["eval", &call]).expect("it is done");
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
        self.control(node, &["eval", &format!("[begin {doing} end || Other <- [{others}]].")]).expect("it is done");
    }

    /// What a node answers to a command, line by line.
    fn control(&self, node: &str, command: &[&str]) -> Result<Vec<String>, String> {
        let control = self.0.dir().join(node).join("ctl");
        let answer = Command::new(control).args(["--quiet", "--silent"]).args(command).output();
        let answer = answer.expect("rabbitmqctl can be run");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if !answer.status.success() {
            return Err(text(&answer.stderr));
        }
        Ok(text(&answer.stdout).lines().map(str::to_owned).collect())
    }
}

impl Cut<'_> {
    #[track_caller]
    fn mend(self) {
        self.cluster.for_each_other(self.node, "erlang:set_cookie(Other, erlang:get_cookie())");
    }
}

/// What Erlang calls a node.
fn erlang_name(node: &str) -> String {
    format!("{}@localhost", node.replacen("rabbitmq", "order-processing", 1))
}
