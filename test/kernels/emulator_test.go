package kernels

import "strings"

// An emulator pretends to be a computer of an architecture.
type emulator struct {
	command string
	// machine has the arguments that make the computer. Its channel "console" is for
	// what the kernel says, "port" for what the tests print.
	machine       string
	console, port string // what the kernel calls the devices at these channels
}

// emulators returns the emulator for each architecture, as Go calls it.
func emulators() map[string]emulator {
	return map[string]emulator{
		"amd64": {
			command: "qemu-system-x86_64",
			machine: "-machine q35 -cpu max -serial chardev:console -serial chardev:port",
			console: "ttyS0", port: "ttyS1",
		},
		"arm64": {
			command: "qemu-system-aarch64",
			machine: "-machine virt -cpu max,pauth-impdef=on -serial chardev:console -device pci-serial,chardev=port",
			console: "ttyAMA0", port: "ttyS0",
		},
		"s390x": {
			command: "qemu-system-s390x",
			machine: "-machine s390-ccw-virtio -cpu max -device sclpconsole,chardev=console " +
				"-device virtio-serial-ccw -device virtconsole,chardev=port",
			console: "ttysclp0", port: "hvc0",
		},
	}
}

// args returns what the emulator is called with: the kernel and its first file
// system, and the files that the channels are written to.
func (e emulator) args(vmlinuz, initrd, console, port string) []string {
	return append(strings.Fields(e.machine),
		"-accel", "tcg", "-smp", "2", "-m", "2048", "-nodefaults", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path="+console, "-chardev", "file,id=port,path="+port,
		"-kernel", vmlinuz, "-initrd", initrd, "-append", "console="+e.console+" quiet panic=-1")
}
