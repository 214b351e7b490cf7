/* What a scene needs and no packaged program does: frames whose number and length are known, and a netkit with a
 * program or without a peer.
 *
 *   frames sink PORT                          takes what comes to a UDP port
 *   frames udp ADDRESS PORT COUNT SIZE        sends datagrams
 *   frames redirect DEVICE TARGET             redirects to TARGET what the peer of a netkit sends, until it is killed
 *   frames single DEVICE                      makes a netkit without a peer (Linux 7.0)
 *   frames message DEVICE                     prints the kernel's message about a link, in hex
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

static int sink(const char *port)
{
	struct sockaddr_in any = at("0.0.0.0", port);
	int in = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(in, (void *)&any, sizeof any))
		return failed("bind");
	while (recv(in, buffer, sizeof buffer, 0) >= 0)
		;
	return failed("recv");
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
	if (count == 4 && !strcmp(words[1], "redirect"))
		return redirect(words[2], words[3]);
	if (count == 3 && !strcmp(words[1], "single"))
		return single(words[2]);
	if (count == 3 && !strcmp(words[1], "message"))
		return message(words[2]);
	return 2;
}
