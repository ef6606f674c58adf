#include "textflag.h"

TEXT ·rawVfork(SB),NOSPLIT,$0
	JMP	syscall·rawVforkSyscall(SB)
