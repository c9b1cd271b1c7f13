//! What a recorder sends to its store, and does not record.

use crate::net::{must, wait_until};
use crate::node::Node;
use std::time::Duration;

/// As much of S3 as uploads need; it keeps its files where ours are looked for, and closes connections behind half of its
/// answers.
const STORE: &str = "
import http.server, os
class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self, status, body=b''):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Last-Modified', 'Thu, 26 Nov 2026 10:00:00 GMT')
        self.send_header('ETag', '1')
        if self.command != 'GET': self.send_header('Connection', 'close')
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def do_PUT(self):
        path = self.path.removeprefix('/captures/')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'wb').write(self.rfile.read(int(self.headers.get('Content-Length', 0))))
        self.answer(200)
    def do_GET(self):
        try: self.answer(200, open(self.path.removeprefix('/captures/'), 'rb').read())
        except OSError: self.answer(404)
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(('0.0.0.0', 9000), Store).serve_forever()
";

fn serve_store(node: &mut Node) {
    node.serve(2, "python3", &["-c", STORE]);
    wait_until("the store listens", || !must(&mut node.in_pod(2, "ss", &["-Hltn", "sport = :9000"])).stdout.is_empty());
}

/// Records all there is while it uploads to `endpoint`, and somebody asks the same store for something else. At how many
/// interfaces what was asked is recorded; of all else there has to be nothing.
fn others_alone_are_recorded(mut node: Node, endpoint: &str, interfaces: usize, is_refused_first: bool) {
    let targets = ["--target", "host", "--target", &format!("netns:{}", node.pod_name(2))];
    let options = ["--store", "s3://captures/store", "--segment-age", "1s"];
    if !is_refused_first {
        serve_store(&mut node);
    }
    let recorder = node.record_to(endpoint, &[&targets[..], &options].concat());
    node.wait_for("rings opened", &node.pod_name(2));
    // Something to store.
    must(&mut node.in_node("bash", &["-c", "echo > /dev/udp/10.88.0.2/9"]));
    if is_refused_first {
        let refused = "awk '/^Tcp: [0-9]/ {print $15}' /proc/net/snmp";
        wait_until("uploads are refused", || {
            must(&mut node.in_pod(2, "sh", &["-c", refused])).stdout > b"0\n".to_vec()
        });
        serve_store(&mut node);
    }
    let other = format!("{endpoint}/other");
    for _ in 0..4 {
        must(&mut node.in_node("curl", &["-s", "-o", "/dev/null", "--local-port", "61001-61100", &other]));
        std::thread::sleep(Duration::from_millis(700));
    }
    recorder.stop();
    let stored = node.stored();
    assert!(stored.sound.segments > 1, "some were stored while others were recorded");
    let seen = 4 * interfaces;
    assert_eq!(stored.tshark("tcp contains \"GET /other\"", &["frame.number"]).len(), seen);
    let others = stored.tshark("tcp.flags.syn == 1 && tcp.flags.ack == 0", &["tcp.srcport"]);
    assert_eq!(others.len(), seen, "{others:?}");
    // Whether it was refused, answered or closed.
    for ports in stored.tshark("tcp", &["tcp.srcport", "tcp.dstport"]) {
        // One of them may be translated back already.
        let is_of_others =
            |port: &str| port.starts_with("610") && port.len() == 5 || others.iter().any(|other| other == port);
        assert!(ports.split('\t').any(is_of_others), "{ports}");
    }
    let counts = stored.close.counts;
    assert!(counts.filtered.packets > 20 && counts.filtered.bytes > 1000, "{counts:?}");
    assert_eq!(counts.seen.packets, counts.written.packets + counts.filtered.packets);
}

#[test]
fn its_own_uploads_are_not_recorded_and_others_to_the_same_store_are() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(2);
    // On the bridge, at its port, and inside.
    others_alone_are_recorded(node, "http://10.88.0.2:9000", 3, true);
}

#[test]
fn nor_are_they_where_both_addresses_are_translated() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(2);
    node.ip("addr add 10.88.0.253/24 dev br0");
    node.ip("route add 10.99.0.9/32 dev br0");
    // As kube-proxy does it for a Service.
    let rules = "
table ip services {
  chain output { type nat hook output priority -100; ip daddr 10.99.0.9 tcp dport 80 dnat to 10.88.0.2:9000; }
  chain postrouting { type nat hook postrouting priority 100; tcp dport 9000 snat to 10.88.0.253 random,fully-random; }
}";
    must(&mut node.in_node("nft", &[rules]));
    others_alone_are_recorded(node, "http://10.99.0.9:80", 3, false);
}

#[test]
fn nor_are_they_in_a_tunnel() {
    let Some(mut node) = Node::new() else { return };
    node.add_pod(2);
    node.ip("link add vx type vxlan id 42 dstport 4789 local 10.88.0.254 remote 10.88.0.2 dev br0");
    node.ip("addr add 10.66.0.1/24 dev vx");
    node.ip("link set vx up");
    let pod = "ip link add vx type vxlan id 42 dstport 4789 local 10.88.0.2 remote 10.88.0.254 dev eth0 && \
               ip addr add 10.66.0.2/24 dev vx && ip link set vx up";
    must(&mut node.in_pod(2, "sh", &["-c", pod]));
    // Before and behind the tunnel, too.
    others_alone_are_recorded(node, "http://10.66.0.2:9000", 5, true);
}
