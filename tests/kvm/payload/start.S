/* SPDX-License-Identifier: MIT */
/*
 * Where a payload begins (64-bit boot protocol: RSI = boot parameters), where a second VP begins
 * (real mode, copied to TRAMPOLINE), and what exceptions do: go to trap_resume, or end it all.
 */
	.section .text
	.globl _start
_start:
	lea stack_top(%rip), %rsp
	xor %ebp, %ebp
	mov %rsi, %rdi
	call payload_main
1:	hlt
	jmp 1b

	.macro trap vector, code
	.globl trap_\vector
trap_\vector:
	.if !\code
	push $0
	.endif
	push $\vector
	jmp trapped
	.endm
	trap 6, 0
	trap 8, 1
	trap 13, 1
	trap 14, 1

trapped: /* RAX, vector, error code, RIP, CS, RFLAGS, RSP, SS */
	push %rax
	mov 8(%rsp), %rax
	mov %rax, trap_vector(%rip)
	mov trap_resume(%rip), %rax
	test %rax, %rax
	jz 1f
	mov %rax, 24(%rsp)
	pop %rax
	add $16, %rsp
	iretq
1:	mov 8(%rsp), %rdi
	mov 24(%rsp), %rsi
	and $-16, %rsp
	call trap_fatal

	/* The way of a second VP from real mode to second_main(): CS is TRAMPOLINE >> 4. */
	.globl trampoline, trampoline_end
	.set BASE, 0x8000
	.code16
trampoline:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl gdt_pointer - trampoline
	mov $0x20, %eax /* PAE */
	mov %eax, %cr4
	mov $0x9000, %eax /* the page tables of the first one */
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov $0x80000011, %eax
	mov %eax, %cr0
	ljmpl $0x10, $(BASE + 1f - trampoline)
	.code64
1:	mov $0x18, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	lea second_stack_top, %rsp
	mov $second_main, %rax
	call *%rax
2:	hlt
	jmp 2b
	.balign 8
gdt_pointer:
	.word 5 * 8 - 1
	.long 0x500 /* the first one's */
trampoline_end:

	.section .bss
	.balign 16
	.skip 16384
stack_top:
	.skip 8192
second_stack_top:
	.section .note.GNU-stack, "", @progbits
