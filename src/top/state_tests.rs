use super::*;
use crate::exposition::json::container::VethlessRow;
use crate::top::tests::{member, pair_of, problem};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn with(names_and_rates: &[(&str, u64)]) -> ViewState {
    let mut state = ViewState::new("here".into(), at(1));
    state.apply(update(names_and_rates), at(0));
    state
}

fn update(names_and_rates: &[(&str, u64)]) -> Update {
    let pair = |&(name, rate): &(&str, u64)| pair_of(name, name.bytes().map(u32::from).sum(), rate, 0);
    Update::Pairs(PairsAnswer { pairs: names_and_rates.iter().map(pair).collect(), ..PairsAnswer::default() })
}

/// Returns the names of the rows, and other lines in brackets.
fn shown(state: &mut ViewState, height: usize) -> Vec<String> {
    let (lines, _) = state.visible(height);
    lines.into_iter().map(|line| name(state, line)).collect()
}

fn name(state: &ViewState, line: ListLine) -> String {
    match line {
        ListLine::Row(row) => state.shown().rows[row].name(true).to_owned(),
        ListLine::Group(group) => format!("[{}]", state.arranged.groups[group].name),
        ListLine::Vethless => "[without]".to_owned(),
        ListLine::Workload(index) => format!("[{}]", state.shown().workloads[index].0.workload.container),
    }
}

fn selected(state: &ViewState) -> String {
    name(state, state.arranged.lines[state.place])
}

fn opened(state: &ViewState) -> (&str, bool) {
    let (row, gone) = state.opened().unwrap();
    (row.workload.trim_start_matches("docker/"), gone)
}

fn type_in(state: &mut ViewState, text: &str) {
    for c in text.chars() {
        assert_eq!(state.press(KeyPress::Char(c)), UserCommand::Show, "{c}");
    }
}

#[test]
fn the_busiest_are_first_until_a_key_says_otherwise_and_the_same_key_turns_them_round() {
    let mut state = with(&[("b", 5), ("a", 7), ("c", 6)]);
    assert_eq!(shown(&mut state, 9), ["a", "c", "b"]);
    for (keys, order) in
        [("w", ["a", "b", "c"]), ("w", ["c", "b", "a"]), ("r", ["a", "c", "b"]), ("i", ["b", "c", "a"])]
    {
        type_in(&mut state, keys);
        assert_eq!(shown(&mut state, 9), order, "{keys}");
    }
    for column in Column::ALL.into_iter().cycle().skip(4).take(8) {
        type_in(&mut state, ">");
        assert_eq!(state.sort, (column, column.falls()));
    }
    type_in(&mut state, "<");
    assert_eq!(state.sort.0, Column::Device);
}

#[test]
fn every_column_has_a_key_of_its_own_that_means_nothing_else() {
    let keys: std::collections::BTreeSet<char> =
        Column::ALL.into_iter().map(|column| column.name().0).collect();
    assert_eq!(keys.len(), Column::ALL.len());
    for column in Column::ALL {
        let mut state = with(&[("a", 1)]);
        state.sort = (if column == Column::Busy { Column::Peak } else { Column::Busy }, true);
        type_in(&mut state, &column.name().0.to_string());
        assert_eq!((state.sort.0, state.mode), (column, Mode::Table));
    }
}

#[test]
fn the_selection_stays_with_its_pair_and_passes_on_when_that_goes() {
    let mut state = with(&[("a", 9), ("b", 8), ("c", 7)]);
    assert_eq!(selected(&state), "a");
    state.apply(update(&[("a", 1), ("b", 8), ("c", 7)]), at(1));
    assert_eq!(selected(&state), "b", "nobody has chosen: the first");
    state.press(KeyPress::Down);
    assert_eq!(selected(&state), "c");
    state.apply(update(&[("a", 1), ("b", 8), ("c", 99)]), at(2));
    assert_eq!(selected(&state), "c", "it is the first now");
    state.press(KeyPress::End);
    assert_eq!(selected(&state), "a");
    state.apply(update(&[("b", 8), ("c", 7)]), at(3));
    assert_eq!(selected(&state), "c", "the last that is left");
    state.apply(update(&[]), at(4));
    assert!(state.arranged.lines.is_empty());
    for key in
        [KeyPress::Up, KeyPress::Down, KeyPress::PageDown, KeyPress::End, KeyPress::Home, KeyPress::Enter]
    {
        state.press(key);
    }
    assert_eq!(shown(&mut state, 5), [""; 0]);
}

#[test]
fn the_window_follows_the_selection_and_never_shows_less_than_it_could() {
    let names: Vec<String> = (0..20).map(|n| format!("{}", (b'a' + n) as char)).collect();
    let all: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut state = with(&all);
    assert_eq!(shown(&mut state, 3), ["a", "b", "c"]);
    state.press(KeyPress::PageDown);
    assert_eq!(shown(&mut state, 3), ["b", "c", "d"]);
    state.press(KeyPress::End);
    assert_eq!(shown(&mut state, 3), ["r", "s", "t"]);
    assert_eq!(shown(&mut state, 5), ["p", "q", "r", "s", "t"], "a larger window");
    state.apply(update(&all[..2]), at(1));
    assert_eq!(shown(&mut state, 5), ["a", "b"]);
    assert_eq!(shown(&mut state, 0), [""; 0]);
    assert_eq!(shown(&mut state, 1), ["b"]);
    state.press(KeyPress::Home);
    assert_eq!(shown(&mut state, 1), ["a"]);
}

#[test]
fn a_filter_is_typed_kept_and_given_up() {
    let mut state = with(&[("web", 3), ("web2", 2), ("db", 1)]);
    type_in(&mut state, "/WEB q2");
    assert_eq!(shown(&mut state, 9), [""; 0], "q is a letter here");
    state.press(KeyPress::Backspace);
    state.press(KeyPress::Backspace);
    assert_eq!((shown(&mut state, 9), state.count()), (vec!["web".to_owned(), "web2".into()], (3, 2)));
    state.press(KeyPress::Down);
    assert_eq!(selected(&state), "web2", "arrows still move");
    state.press(KeyPress::Enter);
    assert_eq!((state.mode, state.filter.as_str()), (Mode::Table, "WEB "));
    state.apply(update(&[("web", 3), ("db", 9), ("web3", 4)]), at(1));
    assert_eq!(shown(&mut state, 9), ["web3", "web"]);
    state.press(KeyPress::Escape);
    assert_eq!(shown(&mut state, 9), ["db", "web3", "web"]);
    type_in(&mut state, "/xyz");
    state.press(KeyPress::Escape);
    assert_eq!((state.mode, state.filter.as_str(), state.count()), (Mode::Table, "", (3, 3)));
}

#[test]
fn a_pause_holds_the_numbers_and_what_came_meanwhile_is_there_afterwards() {
    let mut state = with(&[("a", 9), ("b", 8)]);
    type_in(&mut state, " ");
    state.apply(update(&[("a", 1), ("c", 5)]), at(1));
    assert_eq!((state.is_paused(), shown(&mut state, 9)), (true, vec!["a".to_owned(), "b".into()]));
    type_in(&mut state, "w");
    type_in(&mut state, "w");
    assert_eq!(shown(&mut state, 9), ["b", "a"], "sorting works on what is held");
    type_in(&mut state, "b ");
    assert_eq!((state.is_paused(), shown(&mut state, 9)), (false, vec!["c".to_owned(), "a".into()]));
    let row = state.shown().rows.iter().find(|row| row.workload == "docker/a").unwrap();
    assert_eq!(row.history.len(), 2);
}

#[test]
fn numbers_are_stale_after_a_failure_or_a_silence_and_fresh_again_after_an_answer() {
    let mut state = ViewState::new("here".into(), at(1));
    assert_eq!(state.stale(at(9)), None, "there are none");
    state.apply(Update::Failure("no\u{1b}body".into()), at(1));
    assert_eq!((state.stale(at(9)), state.last_answer()), (None, None));
    assert_eq!(state.supply, Supply::Failed { last: None, reason: r"no\x1bbody".into() });
    state.apply(update(&[("a", 1)]), at(2));
    assert_eq!((state.stale(at(4)), state.stale(at(6))), (None, Some(at(4))));
    state.apply(Update::Failure("gone".into()), at(6));
    assert_eq!((state.stale(at(6)), shown(&mut state, 9)), (Some(at(4)), vec!["a".to_owned()]));
    state.apply(Update::Unchanged, at(7));
    assert_eq!(state.stale(at(7)), None);
}

#[test]
fn quitting_suspending_and_the_panes() {
    let mut state = with(&[("a", 1), ("b", 0)]);
    state.press(KeyPress::Enter);
    assert_eq!(state.mode, Mode::Detail(0));
    state.press(KeyPress::Down);
    assert_eq!((state.mode, selected(&state)), (Mode::Detail(0), "b".to_owned()));
    state.press(KeyPress::PageDown);
    assert_eq!(state.mode, Mode::Detail(1));
    state.press(KeyPress::Char('q'));
    assert_eq!(state.mode, Mode::Table, "q closes the pane first");
    type_in(&mut state, "?");
    assert_eq!(state.mode, Mode::Help(0));
    state.press(KeyPress::Down);
    state.press(KeyPress::Char('q'));
    assert_eq!(state.mode, Mode::Table);
    type_in(&mut state, "/");
    for (key, command) in [('c', UserCommand::Quit), ('z', UserCommand::Suspend), ('l', UserCommand::Repaint)]
    {
        assert_eq!(state.press(KeyPress::Ctrl(key)), command);
    }
    state.press(KeyPress::Escape);
    assert_eq!(state.press(KeyPress::Char('q')), UserCommand::Quit);
}

#[test]
fn open_details_stay_those_of_their_row_whoever_is_first_and_when_it_is_gone() {
    let mut state = with(&[("a", 7), ("b", 5)]);
    state.press(KeyPress::Enter);
    assert_eq!(opened(&state), ("a", false));
    state.apply(update(&[("a", 1), ("b", 5)]), at(1));
    assert_eq!((opened(&state), selected(&state)), (("a", false), "a".to_owned()));
    state.apply(update(&[("b", 5)]), at(2));
    assert_eq!(opened(&state), ("a", true));
    state.apply(update(&[("a", 2), ("b", 5)]), at(3));
    assert_eq!(opened(&state), ("a", false));
    assert_eq!(state.opened().unwrap().0.number(Column::Receive), Some(2));
    state.apply(update(&[("b", 5)]), at(4));
    state.press(KeyPress::Down);
    assert_eq!(opened(&state), ("b", false));
    state.press(KeyPress::Escape);
    assert!(state.opened().is_none());
    assert_eq!(selected(&state), "b");
}

/// Returns a view of two projects and of two workloads without a veth.
fn grouped() -> ViewState {
    let mut state = ViewState::new("here".into(), at(1));
    let mut pairs = vec![pair_of("web", 1, 9, 0), pair_of("vpn", 2, 5, 0)];
    pairs[1].ends[1].place.workload.as_mut().unwrap().compose_project = "media".into();
    let without = |name: &str, owner: &'static str| VethlessRow {
        workload: member(name),
        state: "running".into(),
        owner: owner.into(),
        ..VethlessRow::default()
    };
    let workloads = vec![without("torrent", "docker/vpn"), without("host", "")];
    state.apply(Update::Pairs(PairsAnswer { pairs, workloads, ..PairsAnswer::default() }), at(0));
    state
}

#[test]
fn groups_are_chosen_and_folded_by_keys() {
    let mut state = grouped();
    type_in(&mut state, "vo");
    assert_eq!(shown(&mut state, 9), ["[shop]", "web", "[media]", "vpn", "[without]"]);
    state.press(KeyPress::Enter);
    assert_eq!(shown(&mut state, 9), ["[shop]", "[media]", "vpn", "[without]"]);
    assert_eq!((selected(&state), state.mode), ("[shop]".to_owned(), Mode::Table));
    state.press(KeyPress::Right);
    assert_eq!(shown(&mut state, 9).len(), 5);
    state.press(KeyPress::Down);
    state.press(KeyPress::Left);
    assert_eq!(shown(&mut state, 9).len(), 5, "a row has nothing to fold");
    state.press(KeyPress::Down);
    state.press(KeyPress::Left);
    assert_eq!(shown(&mut state, 9), ["[shop]", "web", "[media]", "[without]"]);
    state.apply(update(&[("other", 3)]), at(1));
    assert_eq!(shown(&mut state, 9), ["[shop]", "other"]);
    for group in [GroupBy::Network, GroupBy::Workload, GroupBy::Nothing] {
        type_in(&mut state, "o");
        assert_eq!(state.group, group);
    }
}

#[test]
fn workloads_without_a_veth_are_folded_and_lead_to_their_owner() {
    let mut state = grouped();
    assert_eq!(shown(&mut state, 9), ["web", "vpn", "[without]", "[torrent]", "[host]"]);
    type_in(&mut state, "v");
    assert_eq!(shown(&mut state, 9), ["web", "vpn", "[without]"]);
    state.press(KeyPress::End);
    state.press(KeyPress::Enter);
    assert_eq!((shown(&mut state, 9).len(), selected(&state)), (5, "[without]".to_owned()));
    state.press(KeyPress::Down);
    assert_eq!(selected(&state), "[torrent]");
    state.apply(Update::Unchanged, at(1));
    assert_eq!(selected(&state), "[torrent]", "the selection stays with it");
    state.press(KeyPress::Enter);
    assert_eq!((selected(&state), state.mode), ("vpn".to_owned(), Mode::Table));
    state.press(KeyPress::End);
    state.press(KeyPress::Enter);
    assert_eq!((selected(&state), state.mode), ("[host]".to_owned(), Mode::Table), "it has no owner");
}

#[test]
fn the_problems_are_listed_and_a_lack_that_is_one_is_not_said_twice() {
    let mut state = grouped();
    state.lacks = vec!["docker: it is away: start it".into(), "no CAP_NET_ADMIN".into()];
    assert_eq!(state.notices().len(), 2);
    let problems = vec![problem("source", "warning", "docker: it is away"), problem("source", "notice", "")];
    let pairs = vec![pair_of("a", 1, 1, 1)];
    state.apply(Update::Pairs(PairsAnswer { problems, pairs, ..PairsAnswer::default() }), at(1));
    assert_eq!(state.notices(), ["no CAP_NET_ADMIN"]);
    type_in(&mut state, "!");
    assert_eq!(state.mode, Mode::Problems(0));
    state.press(KeyPress::Down);
    assert_eq!(state.mode, Mode::Problems(1));
    type_in(&mut state, "q");
    assert_eq!(state.mode, Mode::Table);
}
