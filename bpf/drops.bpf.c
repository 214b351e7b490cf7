/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Counts the packets that the kernel drops, by network namespace, device and reason (Linux 5.17), and lists
 * the network namespaces that have an id in the reader's. Nothing is attached to a device.
 */
#include "core.h"

struct drop_key {
	u64 cookie;  /* of the namespace; 0 if the packet leads to none */
	u32 ifindex; /* of the device by which the packet came, else of the one it was on; 0: none */
	u32 reason;  /* enum skb_drop_reason; above 0xffff of a subsystem */
};

struct {
	NUMBER(type, MAP_TYPE_HASH);
	NUMBER(max_entries, 8192);
	TYPE(key, struct drop_key);
	TYPE(value, u64);
} drops SEC(".maps");

/* The packets that found no room in the map. */
struct {
	NUMBER(type, MAP_TYPE_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u64);
} lost SEC(".maps");

/* Set by the loader, which knows the reasons by name. A packet is not counted if its reason's byte is 1. */
const volatile u8 ignored[256] = {};
/* The number of the reason that says nothing. */
const volatile u32 unspecified = 0;

/* The first inode number that the kernel gives a namespace (PROC_DYNAMIC_FIRST, less that of the initial ones). */
#define FIRST_INODE 0xefffffffu

/*
 * A packet keeps other things where its device was while it waits in the queue of a socket, so a namespace
 * counts only if its own loopback device leads back to it.
 */
INLINE int is_netns(struct net *net)
{
	return net && net->net_cookie && net->ns.inum >= FIRST_INODE && net->loopback_dev &&
	       net->loopback_dev->nd_net.net == net;
}

INLINE void count(const struct drop_key *key)
{
	u64 one = 1;
	u32 first = 0;
	u64 *packets = map_find(&drops, key);

	if (!packets) {
		long error = map_update(&drops, key, &one, ADD_ONLY);
		if (!error)
			return;
		if (error == EXISTS)
			packets = map_find(&drops, key);
	}
	if (!packets)
		packets = map_find(&lost, &first);
	if (packets)
		__sync_fetch_and_add(packets, 1);
}

SEC("tp_btf/kfree_skb")
int kfree_skb(u64 *arguments)
{
	struct sk_buff *skb = (struct sk_buff *)arguments[0];
	struct drop_key key = { .reason = (u32)arguments[2] };
	struct net_device *dev = skb->dev;
	struct net *net = 0;
	struct sock *sk;
	int iif = skb->skb_iif;

	if (key.reason < sizeof(ignored) && ignored[key.reason & 255])
		return 0;
	if (dev)
		net = dev->nd_net.net;
	if (is_netns(net)) {
		key.cookie = net->net_cookie;
		key.ifindex = iif ? iif : dev->ifindex;
		/* Mostly of links that are being made: all of them together. */
		if (key.reason == unspecified && !iif)
			key.ifindex = 0;
		count(&key);
		return 0;
	}
	net = 0;
	sk = skb->sk;
	/* The verifier knows what was compared, and not what is read a second time. */
	ONCE(sk);
	if (sk)
		net = sk->__sk_common.skc_net.net;
	if (is_netns(net)) {
		key.cookie = net->net_cookie;
	} else {
		struct dst_entry *route = (struct dst_entry *)(skb->_skb_refdst & ~1ul);

		dev = 0;
		net = 0;
		if (route)
			READ(dev, route, dev);
		if (dev)
			READ(net, dev, nd_net.net);
		if (net) {
			READ(key.cookie, net, net_cookie);
			READ(key.ifindex, dev, ifindex);
		}
	}
	count(&key);
	return 0;
}

/* The context of iter/task, and what it points to: uapi of the kernel's iterators. */
struct iterator {
	struct {
		void *seq;
		u64 session;
		u64 number;
	} *meta;
	struct task_struct *task;
};

/* What a reader of the iterator gets for each namespace. */
struct netns_row {
	s32 nsid; /* -1: the reader's own */
	u32 inode;
	u64 cookie;
};

/* The ids that one step of the iterator lists. */
#define IDS_AT_ONCE 256u
/* The levels of an xarray with indices of 31 bits and 16 slots a node. */
#define LEVELS 8

/* Returns the namespace with an id, as idr_find does; the caller is in a read-side section of RCU. */
INLINE struct net *find(void *head, u32 nsid)
{
	u64 entry = (u64)head;
	u32 slots = __builtin_preserve_field_info(((struct xa_node *)0)->slots, 1) / sizeof(void *);

	for (int level = 0; level < LEVELS; level++) {
		struct xa_node *node = (struct xa_node *)(entry - 2);
		u8 shift = 0;
		u32 slot;

		if ((entry & 3) != 2 || entry < 4096)
			break;
		READ(shift, node, shift);
		slot = nsid >> (shift & 31);
		if (!level && slot >= slots)
			return 0;
		slot &= slots - 1;
		entry = 0;
		read_kernel(&entry, sizeof(entry),
			    (u8 *)__builtin_preserve_access_index(&node->slots) + slot * sizeof(void *));
		nsid &= (1u << (shift & 31)) - 1;
		/* A single entry has the index 0. */
		if (!shift)
			return (entry & 3) ? 0 : (struct net *)entry;
	}
	return (entry & 3) || nsid ? 0 : (struct net *)entry;
}

SEC("iter/task")
int namespaces(struct iterator *context)
{
	struct netns_row row;
	void *seq = context->meta->seq;
	u64 first = context->meta->number * IDS_AT_ONCE;
	struct net *own;
	void *head;

	if (!context->task || first >= 0x7fffffff)
		return 0;
	own = current_task()->nsproxy->net_ns;
	if (!first) {
		row.nsid = -1;
		row.inode = own->ns.inum;
		row.cookie = own->net_cookie;
		seq_write(seq, &row, sizeof(row));
	}
	head = own->netns_ids.idr_rt.xa_head;
	for (u32 at = 0; at < IDS_AT_ONCE; at++) {
		struct net *net = find(head, (u32)first + at);

		if (!net)
			continue;
		row.nsid = (s32)((u32)first + at);
		row.inode = 0;
		row.cookie = 0;
		READ(row.inode, net, ns.inum);
		READ(row.cookie, net, net_cookie);
		seq_write(seq, &row, sizeof(row));
	}
	return 0;
}

/* The kernel lends its helpers for tracing to the GPL alone. */
char terms[] SEC("license") = "GPL v2";
