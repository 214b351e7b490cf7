use super::*;
use libc::RTM_NEWLINK;
use nix::errno::Errno;

const SEQUENCE: u32 = 7;
const PORT: u32 = 1_234;

/// `struct nlmsghdr` and a payload, padded.
fn message(kind: u16, flags: u16, sequence: u32, port: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(port.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn part(payload: &[u8]) -> Vec<u8> {
    message(RTM_NEWLINK, 0, SEQUENCE, PORT, payload)
}

fn end(kind: u16, errno: i32) -> Vec<u8> {
    message(kind, 0, SEQUENCE, PORT, &errno.to_ne_bytes())
}

/// Whether an answer is whole, and was interrupted; or why it is none.
type Outcome = Result<(bool, bool), Error>;

/// What becomes of these datagrams, and the payloads that were read.
fn read(until: Until, datagrams: &[Vec<u8>]) -> (Outcome, Vec<Vec<u8>>) {
    let mut answer =
        NetlinkAnswer { request: "RTM_GETLINK", sequence: SEQUENCE, port: PORT, until, interrupted: false };
    let mut seen = Vec::new();
    for datagram in datagrams {
        match answer.read(datagram, &mut |message| seen.push(message.payload.to_vec())) {
            Ok(false) => {}
            Ok(true) => return (Ok((true, answer.interrupted)), seen),
            Err(error) => return (Err(error), seen),
        }
    }
    (Ok((false, answer.interrupted)), seen)
}

fn assert_malformed(answer: Outcome, wanted: &str) {
    match answer {
        Err(Error::Malformed { request: "RTM_GETLINK", what }) => assert_eq!(what, wanted),
        other => panic!("{other:?}, and not {wanted:?}"),
    }
}

#[test]
fn a_dump_is_whole_with_its_end_over_several_datagrams_and_not_before() {
    let datagrams = [[part(b"one"), part(b"two")].concat(), part(b"three"), end(NLMSG_DONE, 0)];
    let (answer, seen) = read(Until::Done, &datagrams);
    assert_eq!(answer.unwrap(), (true, false));
    assert_eq!(seen, [b"one".as_slice(), b"two", b"three"]);
    assert_eq!(read(Until::Done, &datagrams[..2]).0.unwrap(), (false, false));
}

#[test]
fn an_answer_to_another_question_or_socket_is_passed_over() {
    let foreign = [
        message(RTM_NEWLINK, NLM_F_DUMP_INTR, SEQUENCE - 1, PORT, b"older"),
        message(RTM_NEWLINK, NLM_F_DUMP_INTR, SEQUENCE, PORT + 1, b"another's"),
        message(NLMSG_ERROR, 0, SEQUENCE - 1, PORT, &(-1i32).to_ne_bytes()),
        message(NLMSG_DONE, 0, SEQUENCE - 1, PORT, &0i32.to_ne_bytes()),
    ];
    for until in [Until::Done, Until::First, Until::Ack] {
        assert_eq!(read(until, &foreign).0.unwrap(), (false, false), "{until:?}");
        assert_eq!(read(until, &[foreign.concat()]).0.unwrap(), (false, false), "{until:?}");
    }
    let (answer, seen) = read(Until::First, &[[foreign.concat(), part(b"ours")].concat()]);
    assert_eq!((answer.unwrap(), seen), ((true, false), vec![b"ours".to_vec()]));
}

#[test]
fn an_interruption_is_noticed_in_any_part() {
    let broken = message(RTM_NEWLINK, NLM_F_DUMP_INTR, SEQUENCE, PORT, b"two");
    let (answer, seen) = read(Until::Done, &[part(b"one"), broken, part(b"three"), end(NLMSG_DONE, 0)]);
    assert_eq!((answer.unwrap(), seen.len()), ((true, true), 3));
    let at_the_end = message(NLMSG_DONE, NLM_F_DUMP_INTR, SEQUENCE, PORT, &0i32.to_ne_bytes());
    assert_eq!(read(Until::Done, &[part(b"one"), at_the_end]).0.unwrap(), (true, true));
}

#[test]
fn an_errno_is_a_refusal_also_at_the_end_of_a_dump() {
    for kind in [NLMSG_ERROR, NLMSG_DONE] {
        for until in [Until::Done, Until::First, Until::Ack] {
            let error = read(until, &[end(kind, -libc::EACCES)]).0.unwrap_err();
            assert_eq!(error.errno(), Some(Errno::EACCES), "{error}");
            assert!(error.to_string().contains("RTM_GETLINK: Permission denied"), "{error}");
        }
    }
}

#[test]
fn an_acknowledgement_answers_only_who_asked_for_one() {
    assert_eq!(read(Until::Ack, &[end(NLMSG_ERROR, 0)]).0.unwrap(), (true, false));
    for until in [Until::Done, Until::First] {
        assert_malformed(read(until, &[end(NLMSG_ERROR, 0)]).0, "an acknowledgement in place of an answer");
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for length in [0u32, 1, 15] {
        let mut bytes = part(b"one");
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let (answer, seen) = read(Until::Done, &[bytes]);
        assert!(matches!(answer, Err(Error::Malformed { .. })), "length {length}: {answer:?}");
        assert!(seen.is_empty());
    }
    for length in [21u32, 1_000, u32::MAX] {
        let mut bytes = part(b"four");
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        assert_malformed(read(Until::Done, &[bytes]).0, "a length beyond its datagram");
    }
    for length in 1..HEADER {
        let datagram = [part(b"whole"), part(b"cut")[..length].to_vec()].concat();
        let (answer, seen) = read(Until::Done, &[datagram]);
        assert_malformed(answer, "a length beyond its datagram");
        assert_eq!(seen, [b"whole"]);
    }
}

/// An attribute, padded.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn a_refusal_has_the_kernels_own_words_where_it_gives_them() {
    let request = message(RTM_NEWLINK, 0, SEQUENCE, PORT, b"the request");
    let said = [attribute(2, &[0; 4]), attribute(NLMSGERR_ATTR_MSG, b"Invalid header\0")].concat();
    let errno = (-22i32).to_ne_bytes().to_vec();
    let capped = NLM_F_ACK_TLVS | NLM_F_CAPPED;
    for (kind, flags, behind, words) in [
        (NLMSG_ERROR, NLM_F_ACK_TLVS, [request.clone(), said.clone()].concat(), " (Invalid header)"),
        (NLMSG_ERROR, capped, [request[..HEADER].to_vec(), said.clone()].concat(), " (Invalid header)"),
        (NLMSG_DONE, NLM_F_ACK_TLVS, said.clone(), " (Invalid header)"),
        // Not said to be there, not there, cut off, and nonsense.
        (NLMSG_ERROR, 0, [request.clone(), said.clone()].concat(), ""),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, request.clone(), ""),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, Vec::new(), ""),
        (NLMSG_DONE, NLM_F_ACK_TLVS, said[..14].to_vec(), ""),
        (NLMSG_DONE, NLM_F_ACK_TLVS, vec![0xff; 7], ""),
        (NLMSG_DONE, NLM_F_ACK_TLVS, vec![0; 16], ""),
    ] {
        let datagram = message(kind, flags, SEQUENCE, PORT, &[errno.clone(), behind].concat());
        let error = read(Until::Done, &[datagram]).0.unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EINVAL));
        let wanted =
            format!("netlink: the kernel refused RTM_GETLINK: Invalid argument (os error 22){words}");
        assert_eq!(error.to_string(), wanted);
    }
}
