//! The link to what the page shows.

use super::{
    CHOSEN, NAMES, SOON, SORTED, TITLE, assert_content, assert_content_after_absence, open_at, search, three,
    three_without_page,
};
use lab::Exporter;

const NOTICES: &str = "(document.getElementById('notices')?.textContent ?? '')";

#[test]
fn a_reload_shows_the_same_search_order_grouping_columns_and_row() {
    let (_host, _exporter, mut page) = three();
    page.look(1_900, 900, false);
    search(&mut page, "a");
    page.click("document.querySelector('.head .name button')");
    page.value("(() => { const group = document.getElementById('group'); group.value = 'workload'; group.dispatchEvent(new Event('change')); })()");
    page.click("document.getElementById('columns-open')");
    page.click("[...document.querySelectorAll('#columns label')].find((label) => label.textContent === 'MTU').querySelector('input')");
    page.press("Escape");
    page.click("[...document.querySelectorAll('.rows .pair:not([hidden])')].find((row) => row.textContent.includes('beta'))");
    let query = "?q=a&sort=name&desc=0&group=workload&columns=name,network,device,mtu,receive,transmit,peak,drops,activity&row=named/beta/eth0/";
    page.wait_until(SOON, &format!("location.search === '{query}'"));
    // The browser keeps the columns as well; the link has to do without.
    page.value("localStorage.clear()");
    page.call("Page.reload", serde_json::json!({}));
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    assert_eq!(page.text("document.getElementById('search')?.value"), "a");
    assert_eq!(page.text("document.getElementById('group').value"), "workload");
    page.wait_until(SOON, &format!("{SORTED} === 'alpha,alpha,beta,beta,gamma,gamma'"));
    assert_eq!(page.text(CHOSEN), "beta");
    assert_eq!(page.value("document.querySelector('.head .mtu').hidden"), false);
    assert_eq!(page.text("document.querySelector('.head .name').getAttribute('aria-sort')"), "ascending");
    page.wait_until(SOON, &format!("location.search === '{query}'"));
    assert_content(&mut page);
}

#[test]
fn the_browser_keeps_the_columns_without_a_link() {
    let (_host, exporter, mut page) = three();
    page.click("document.getElementById('columns-open')");
    page.click("[...document.querySelectorAll('#columns label')].find((label) => label.textContent === 'Packets').querySelector('input')");
    page.wait_until(SOON, "location.search.includes('packets')");
    page.go(&super::url(&exporter));
    page.wait_until(SOON, "document.querySelector('.head .packets')?.hidden === false");
    assert_content(&mut page);
}

#[test]
fn a_link_that_means_nothing_is_ignored_with_a_notice() {
    let (host, exporter) = three_without_page();
    let query = "?q=%ff%00%u202e&sort=__proto__&desc=yes&group=constructor&columns=,toString,&row=docker/<img%20src=x>/eth0/&foo=1&=&%";
    let mut page = open_at(&exporter, &host.netns, query);
    for wanted in [
        "no column “__proto__”",
        "desc is “yes”",
        "no grouping “constructor”",
        "no column “toString”",
        "No pair is called “docker/<img src=x>/eth0/”",
        "“foo”",
    ] {
        page.wait_until(SOON, &format!("{NOTICES}.includes('{wanted}')"));
    }
    // The page is as usual, but for the search, which is one.
    page.press("Escape");
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    page.wait_until(SOON, "location.search === ''");
    page.click(
        "[...document.querySelectorAll('#notices button')].find((button) => button.textContent === 'Close')",
    );
    page.wait_until(SOON, &format!("!{NOTICES}.includes('ignored')"));
    // A search of a size that no person types.
    page.go(&format!("{}?q={}&row={}", super::url(&exporter), "x".repeat(3_000), "y".repeat(3_000)));
    page.wait_until(SOON, &format!("{NOTICES}.includes('longer than 1024')"));
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    assert_content(&mut page);
}

#[test]
fn a_links_row_is_the_same_after_a_restart_of_the_exporter_and_of_the_workload() {
    let (host, exporter) = three_without_page();
    let mut page = open_at(&exporter, &host.netns, "?row=named/beta");
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    page.wait_until(SOON, "location.search === '?row=named/beta/eth0/'");
    let address = exporter.address().to_string();
    drop(exporter);
    // The workload gets another pair, with another port and other indices.
    host.netns.ip(["link", "del", "veth1"]);
    host.netns.veth("veth9", &host.inside[1], "eth0");
    let [flag, path] = host.names.arguments();
    let _again = Exporter::start(&host.netns, &[flag, path, "--web.listen-address", &address]);
    page.wait_until(2 * SOON, "document.getElementById('live')?.dataset.state === 'live' && document.getElementById('notices').textContent.includes('restarted')");
    page.wait_until(SOON, "document.getElementById('detail').textContent.includes('veth9')");
    assert_eq!(page.text("document.querySelector('#detail .gone').textContent"), "");
    page.call("Page.reload", serde_json::json!({}));
    page.wait_until(2 * SOON, &format!("{TITLE} === 'beta'"));
    assert_content_after_absence(&mut page);
}
