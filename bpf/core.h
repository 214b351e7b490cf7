/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The few kernel types that the programs read, the helpers that they call, and the form of maps. Only the
 * fields that are read are named: the loader takes their offsets from the running kernel's BTF.
 */
#ifndef VETH_EXPORTER_CORE_H
#define VETH_EXPORTER_CORE_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline

/* uapi/linux/bpf.h */
#define MAP_TYPE_HASH 1
#define MAP_TYPE_ARRAY 2
#define ADD_ONLY 1 /* BPF_NOEXIST */
#define EXISTS (-17) /* EEXIST */

/* A field of a map's definition: the loader reads the number from the field's type. */
#define NUMBER(name, value) int (*name)[value]
#define TYPE(name, type) type *name

static void *(*const map_find)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const seq_write)(void *seq, const void *data, u32 size) = (void *)127;
static struct task_struct *(*const current_task)(void) = (void *)158;

/* Reads a field behind a pointer that the verifier does not know to be valid. */
#define READ(to, pointer, field) \
	read_kernel(&(to), sizeof(to), __builtin_preserve_access_index(&(pointer)->field))

/* Keeps the compiler from reading a variable's source again. */
#define ONCE(variable) asm volatile("" : "+r"(variable))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct xa_node {
	u8 shift;
	void *slots[64];
};

struct xarray {
	void *xa_head;
};

struct idr {
	struct xarray idr_rt;
};

struct ns_common {
	u32 inum;
};

struct net {
	struct ns_common ns;
	u64 net_cookie;
	struct idr netns_ids;
	struct net_device *loopback_dev;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct sock_common {
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
};

struct dst_entry {
	struct net_device *dev;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	int skb_iif;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	struct nsproxy *nsproxy;
};

#pragma clang attribute pop

#endif
