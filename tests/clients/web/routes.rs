//! `--web.external-url` and `--web.route-prefix`, as Prometheus has them.

use super::Host;

#[test]
fn the_path_of_the_external_url_is_the_prefix_of_routes_and_links() {
    let host = Host::new();
    let exporter = host.exporter(&["--web.external-url", "https://proxy.example/veth/"]);
    for (path, status) in [
        ("/veth/metrics", 200),
        ("/veth/-/healthy", 200),
        ("/veth/", 200),
        ("/veth", 200),
        ("/metrics", 404),
        ("/-/healthy", 404),
        ("/vethmetrics", 404),
        ("/veth/veth/metrics", 404),
    ] {
        assert_eq!(exporter.get(path).status, status, "{path}");
    }
    let root = exporter.get("/");
    assert_eq!((root.status, root.header("location")), (302, Some("/veth/")));
    let page = exporter.get("/veth/");
    for link in ["href=\"/veth/metrics\"", "href=\"/veth/-/healthy\"", "href=\"/veth/-/ready\""] {
        assert!(page.text().contains(link), "no {link} in\n{}", page.text());
    }
}

#[test]
fn a_proxy_that_takes_its_prefix_away_needs_another_route_prefix() {
    let host = Host::new();
    let exporter = host.exporter(&["--web.external-url=https://proxy.example/veth", "--web.route-prefix=/"]);
    assert_eq!(exporter.get("/metrics").status, 200);
    assert!(exporter.get("/").text().contains("href=\"/veth/metrics\""));
    let exporter = host.exporter(&["--web.route-prefix", "inner/", "--web.telemetry-path", "/m"]);
    assert_eq!(exporter.get("/inner/m").status, 200);
    assert!(exporter.get("/inner").text().contains("href=\"/inner/m\""));
}
