// Command pod is everything that runs in the containers of these tests:
//
//	pod                   waits for SIGTERM
//	pod send ADDRESS N    sends N UDP datagrams to the discard port of ADDRESS
//	pod serve PORT        answers TCP connections with a line
//	pod bpf ID            uses the pod's volume, and prints how each attempt ends
//	pod mounts            prints its mount table
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "pod: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "send":
		return send(args[1], args[2])
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 2 && args[0] == "bpf":
		return useBPF(args[1])
	case len(args) == 1 && args[0] == "mounts":
		return printMounts()
	}
	signal.Ignore(syscall.SIGCHLD) // the kernel reaps
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return nil
}

func send(address, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp", net.JoinHostPort(address, "9"))
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", nil) // unconnected: it does not hear that nobody listens
	if err != nil {
		return err
	}
	defer conn.Close()
	for range n {
		if _, err := conn.WriteTo([]byte("hello"), to); err != nil {
			return err
		}
	}
	return nil
}

func serve(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(conn, "hello")
		if err := conn.Close(); err != nil {
			return err
		}
	}
}

func printMounts() error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil {
		_, err = os.Stdout.Write(table)
	}
	return err
}
