# Drops every frame that a link receives (XDP).
# llvm-mc -triple bpfel -filetype=obj drop.s -o drop.o
	.text
	.section	xdp,"ax",@progbits
	.globl	drop
	.p2align	3
	.type	drop,@function
drop:
	r0 = 1
	exit
	.size	drop, .-drop
	.section	license,"aw",@progbits
	.globl	terms
	.type	terms,@object
terms:
	.asciz	"Apache-2.0"
	.size	terms, 11
