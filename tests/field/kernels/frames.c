/* What a scene needs and no packaged program does: frames whose number and length are known, and a netkit with a
 * program or without a peer.
 *
 *   frames sink PORT                          takes what comes to a port by UDP and TCP
 *   frames udp ADDRESS PORT COUNT SIZE        sends datagrams
 *   frames tcp ADDRESS PORT BYTES             sends bytes by TCP and waits until the other side has taken them
 *   frames own FIFO [GO]                      moves to a new network namespace, writes a line, and waits to be killed;
 *                                             with GO waits for a line there first, does as `live`, and writes another
 *   frames live NETNS                         sets eth0 of a namespace up, 100 datagrams out of it, 20 into it
 *   frames pin pass|peer PATH [DEVICE]        pins a program: `pass` for XDP, `peer` that redirects to DEVICE's peer
 *   frames without NUMBER COMMAND...          runs a command for which the kernel lacks a socket option of netlink
 *   frames redirect DEVICE TARGET             redirects to TARGET what the peer of a netkit sends, until it is killed
 *   frames single DEVICE                      makes a netkit without a peer (Linux 7.0)
 *   frames message DEVICE                     prints the kernel's message about a link, in hex
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* Newer than the headers of older systems: linux/bpf.h and linux/if_link.h of Linux 7.0. */
enum { NETKIT_PEER = 55, NETKIT_MODE = 5, NETKIT_PAIRING = 10, NETKIT_L2 = 0, NETKIT_SINGLE = 1 };

static char buffer[1 << 16];

static int failed(const char *what)
{
	perror(what);
	return 1;
}

static struct sockaddr_in at(const char *address, const char *port)
{
	struct sockaddr_in place = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	inet_pton(AF_INET, address, &place.sin_addr);
	return place;
}

/* Binds a socket to a port of every address. */
static int bound(int kind, const char *port)
{
	struct sockaddr_in any = at("0.0.0.0", port);
	int opened = socket(AF_INET, kind, 0);
	return bind(opened, (void *)&any, sizeof any) ? -1 : opened;
}

static int sink(const char *port)
{
	struct pollfd in[] = { { bound(SOCK_DGRAM, port), POLLIN, 0 }, { bound(SOCK_STREAM, port), POLLIN, 0 } };
	if (in[0].fd < 0 || in[1].fd < 0 || listen(in[1].fd, 64))
		return failed("bind");
	while (poll(in, 2, -1) > 0) {
		if (in[0].revents && recv(in[0].fd, buffer, sizeof buffer, 0) < 0)
			return failed("recv");
		if (!in[1].revents)
			continue;
		int taken = accept(in[1].fd, NULL, NULL);
		while (read(taken, buffer, sizeof buffer) > 0)
			;
		close(taken);
	}
	return failed("poll");
}

static int tcp(char **arguments)
{
	struct sockaddr_in to = at(arguments[0], arguments[1]);
	int out = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(out, (void *)&to, sizeof to))
		return failed("connect");
	for (long left = atol(arguments[2]); left > 0;) {
		ssize_t sent = write(out, buffer, left < (long)sizeof buffer ? left : (long)sizeof buffer);
		if (sent < 0)
			return failed("write");
		left -= sent;
	}
	shutdown(out, SHUT_WR);
	while (read(out, buffer, sizeof buffer) > 0)
		;
	return 0;
}

/* Sends datagrams to port 9 of an address, and takes as many at the other socket. The port has its carrier before it
 * has a queue (linkwatch_do_dev in net/core/link_watch.c): what is dropped there is counted nowhere, and sent again. */
static int send_all(int from, const char *address, int to, int count, int size)
{
	struct sockaddr_in place = at(address, "9");
	for (int sent = 0, failures = 0; sent < count;) {
		if (sendto(from, buffer, size, 0, (void *)&place, sizeof place) != size)
			return failed("sendto");
		if (recv(to, buffer, sizeof buffer, 0) == size)
			sent++;
		else if (++failures == 20)
			return failed("recv");
	}
	return 0;
}

/* Switches eth0 on, gives it 10.9.0.2, and makes 10.9.0.1 its permanent neighbour if it has neighbours. */
static int configure(void)
{
	int any = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in own = at("10.9.0.2", "0"), mask = at("255.255.255.0", "0"), other = at("10.9.0.1", "0");
	struct ifreq link = { .ifr_name = "eth0" };
	if (ioctl(any, SIOCGIFFLAGS, &link))
		return failed("SIOCGIFFLAGS");
	int has_neighbours = !(link.ifr_flags & IFF_NOARP);
	link.ifr_flags |= IFF_UP;
	if (ioctl(any, SIOCSIFFLAGS, &link))
		return failed("SIOCSIFFLAGS");
	memcpy(&link.ifr_addr, &own, sizeof own);
	if (ioctl(any, SIOCSIFADDR, &link))
		return failed("SIOCSIFADDR");
	memcpy(&link.ifr_netmask, &mask, sizeof mask);
	if (ioctl(any, SIOCSIFNETMASK, &link))
		return failed("SIOCSIFNETMASK");
	struct arpreq neighbour = { .arp_flags = ATF_PERM | ATF_COM, .arp_dev = "eth0",
		.arp_ha = { ARPHRD_ETHER, "\x02\0\0\0\0\x01" } };
	memcpy(&neighbour.arp_pa, &other, sizeof other);
	if (has_neighbours && ioctl(any, SIOCSARP, &neighbour))
		return failed("SIOCSARP");
	close(any);
	return 0;
}

/* Sends 100 datagrams out of the namespace that the thread is in, and 20 into it. */
static int exchange(int outside)
{
	struct timeval patience = { .tv_usec = 500000 };
	int inside = configure() ? -1 : bound(SOCK_DGRAM, "9");
	if (inside < 0)
		return failed("inside");
	setsockopt(inside, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(outside, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return send_all(inside, "10.9.0.1", outside, 100, 1000) ||
		send_all(outside, "10.9.0.2", inside, 20, 500);
}

/* Writes a line to a pipe with a name, or reads one. */
static int line(const char *fifo, int flags)
{
	int opened = open(fifo, flags);
	if (opened < 0 || (flags == O_WRONLY ? write(opened, "\n", 1) : read(opened, buffer, 1)) != 1)
		return failed(fifo);
	return close(opened);
}

static int own(const char *fifo, const char *go)
{
	int outside = go ? bound(SOCK_DGRAM, "9") : 0;
	if (outside < 0 || unshare(CLONE_NEWNET))
		return failed("unshare");
	if (line(fifo, O_WRONLY))
		return 1;
	if (go && (line(go, O_RDONLY) || exchange(outside) + line(fifo, O_WRONLY)))
		return 1;
	for (;;)
		pause();
}

static int live(const char *netns)
{
	int outside = bound(SOCK_DGRAM, "9"), to = open(netns, O_RDONLY);
	if (outside < 0 || to < 0 || setns(to, CLONE_NEWNET))
		return failed(netns);
	return exchange(outside);
}

/* The system call answers ENOPROTOOPT for one option of SOL_NETLINK, as a kernel does that has none of it. */
static int without(const char *option, char **command)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_NETLINK, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(option), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof program / sizeof *program, program };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		return failed("seccomp");
	execvp(*command, command);
	return failed(*command);
}

static int udp(char **arguments)
{
	struct sockaddr_in to = at(arguments[0], arguments[1]);
	int out = socket(AF_INET, SOCK_DGRAM, 0), size = atoi(arguments[3]);
	if (connect(out, (void *)&to, sizeof to))
		return failed("connect");
	for (long left = atol(arguments[2]); left > 0;) {
		if (send(out, buffer, size, 0) == size)
			left--;
		else if (errno == ENOBUFS || errno == EAGAIN)
			usleep(1000);
		else
			return failed("send");
	}
	return 0;
}

static int redirect(const char *device, const char *target)
{
	struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = if_nametoindex(target) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.expected_attach_type = NETKIT_PEER,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof program / sizeof *program,
		.license = (uintptr_t)"GPL",
	};
	int loaded = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
	if (loaded < 0)
		return failed("BPF_PROG_LOAD");
	union bpf_attr attach = { .link_create = {
		.prog_fd = loaded, .target_ifindex = if_nametoindex(device), .attach_type = NETKIT_PEER } };
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &attach, sizeof attach) < 0)
		return failed("BPF_LINK_CREATE");
	puts("redirects");
	fflush(stdout);
	pause();
	return 0;
}

static int pin(const char *kind, const char *path, const char *device)
{
	struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_insn peer[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = device ? if_nametoindex(device) : 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_peer },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int is_peer = !strcmp(kind, "peer");
	union bpf_attr load = {
		.prog_type = is_peer ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP,
		.insns = is_peer ? (uintptr_t)peer : (uintptr_t)pass,
		.insn_cnt = is_peer ? sizeof peer / sizeof *peer : sizeof pass / sizeof *pass,
		.license = (uintptr_t)"GPL",
	};
	int loaded = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
	if (loaded < 0)
		return failed("BPF_PROG_LOAD");
	union bpf_attr pinned = { .pathname = (uintptr_t)path, .bpf_fd = loaded };
	return syscall(SYS_bpf, BPF_OBJ_PIN, &pinned, sizeof pinned) < 0 ? failed("BPF_OBJ_PIN") : 0;
}

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	char attributes[256];
};

/* Appends an attribute; returns where its value is. */
static void *append(struct request *request, int kind, const void *value, int length)
{
	struct rtattr *attribute = (void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
	attribute->rta_type = kind;
	attribute->rta_len = RTA_LENGTH(length);
	if (length)
		memcpy(RTA_DATA(attribute), value, length);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
	return attribute;
}

/* Ends an attribute that contains those which were appended since. */
static void enclose(struct request *request, struct rtattr *outer)
{
	outer->rta_len = (char *)request + request->header.nlmsg_len - (char *)outer;
}

/* Sends a request; returns the length of the answer in `buffer`. */
static ssize_t ask(struct request *request)
{
	int kernel = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	request->header.nlmsg_flags |= NLM_F_REQUEST;
	if (send(kernel, request, request->header.nlmsg_len, 0) < 0)
		return -1;
	return recv(kernel, buffer, sizeof buffer, 0);
}

static int single(const char *device)
{
	struct request request = { .header = { NLMSG_LENGTH(sizeof request.link), RTM_NEWLINK,
		NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0, 0 } };
	uint32_t mode = NETKIT_L2, pairing = NETKIT_SINGLE;
	append(&request, IFLA_IFNAME, device, strlen(device) + 1);
	struct rtattr *info = append(&request, IFLA_LINKINFO, NULL, 0);
	append(&request, IFLA_INFO_KIND, "netkit", 7);
	struct rtattr *data = append(&request, IFLA_INFO_DATA, NULL, 0);
	append(&request, NETKIT_MODE, &mode, sizeof mode);
	append(&request, NETKIT_PAIRING, &pairing, sizeof pairing);
	enclose(&request, data);
	enclose(&request, info);
	if (ask(&request) < 0)
		return failed("netlink");
	struct nlmsgerr *answer = NLMSG_DATA((struct nlmsghdr *)buffer);
	errno = -answer->error;
	return answer->error ? failed("RTM_NEWLINK") : 0;
}

static int message(const char *device)
{
	struct request request = { .header = { NLMSG_LENGTH(sizeof request.link), RTM_GETLINK, 0, 0, 0 },
		.link = { .ifi_index = if_nametoindex(device) } };
	ssize_t length = ask(&request);
	if (length < 0)
		return failed("netlink");
	for (ssize_t byte = NLMSG_HDRLEN; byte < length; byte++)
		printf("%02x%s", (unsigned char)buffer[byte], (byte - NLMSG_HDRLEN) % 32 == 31 ? "\n" : "");
	puts("");
	return 0;
}

int main(int count, char **words)
{
	if (count == 3 && !strcmp(words[1], "sink"))
		return sink(words[2]);
	if (count == 6 && !strcmp(words[1], "udp"))
		return udp(words + 2);
	if (count == 5 && !strcmp(words[1], "tcp"))
		return tcp(words + 2);
	if ((count == 3 || count == 4) && !strcmp(words[1], "own"))
		return own(words[2], words[3]);
	if (count == 3 && !strcmp(words[1], "live"))
		return live(words[2]);
	if ((count == 4 || count == 5) && !strcmp(words[1], "pin"))
		return pin(words[2], words[3], count == 5 ? words[4] : NULL);
	if (count >= 4 && !strcmp(words[1], "without"))
		return without(words[2], words + 3);
	if (count == 4 && !strcmp(words[1], "redirect"))
		return redirect(words[2], words[3]);
	if (count == 3 && !strcmp(words[1], "single"))
		return single(words[2]);
	if (count == 3 && !strcmp(words[1], "message"))
		return message(words[2]);
	return 2;
}
