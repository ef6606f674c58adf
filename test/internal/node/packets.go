package node

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// timeout is how long a packet may be under way.
const timeout = 10 * time.Second

// Overhead is how many bytes a UDP datagram has on the wire before its payload:
// the Ethernet, IPv4 and UDP headers.
const Overhead = 14 + 20 + 8

// A Listener is a UDP socket.
type Listener struct {
	conn *net.UDPConn
}

// Listen opens a UDP socket in the network namespace of the thread.
func Listen(addr netip.Addr) (*Listener, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	return &Listener{conn}, err
}

// Listen opens a UDP socket in the pod.
func (p *Pod) Listen() (l *Listener, err error) {
	err = p.Do(func() error {
		l, err = Listen(p.Addr)
		return err
	})
	return l, err
}

// Close closes the socket.
func (l *Listener) Close() error {
	return l.conn.Close()
}

// Send sends n UDP datagrams of size bytes from the pod and returns when to has
// received all of them. They go one by one, so that none is lost for want of room.
func (p *Pod) Send(to *Listener, n, size int) error {
	var from *net.UDPConn
	err := p.Do(func() (err error) {
		from, err = net.DialUDP("udp4", nil, to.conn.LocalAddr().(*net.UDPAddr))
		return err
	})
	if err != nil {
		return err
	}
	defer from.Close()
	buf := make([]byte, size+1)
	for i := range n {
		if _, err := from.Write(buf[:size]); err != nil {
			return fmt.Errorf("datagram %d of %d from %s: %w", i+1, n, p.Name, err)
		}
		if err := to.receive(buf, size); err != nil {
			return fmt.Errorf("datagram %d of %d from %s: %w", i+1, n, p.Name, err)
		}
	}
	return nil
}

func (l *Listener) receive(buf []byte, size int) error {
	if err := l.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	got, _, err := l.conn.ReadFromUDP(buf)
	if err == nil && got != size {
		err = fmt.Errorf("got %d bytes, want %d", got, size)
	}
	return err
}

// Ping sends n ICMP echo requests from the pod and returns when it has all replies.
func (p *Pod) Ping(to netip.Addr, n int) error {
	var conn *net.IPConn
	err := p.Do(func() (err error) {
		conn, err = net.DialIP("ip4:icmp", nil, &net.IPAddr{IP: to.AsSlice()})
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	for seq := range n {
		if err := ping(conn, uint16(seq)); err != nil {
			return fmt.Errorf("ping %d of %d from %s to %v: %w", seq+1, n, p.Name, to, err)
		}
	}
	return nil
}

// ping sends an echo request (RFC 792) and waits for its reply.
func ping(conn *net.IPConn, seq uint16) error {
	const request, reply, header = 8, 0, 8
	msg := make([]byte, 64)
	msg[0] = request
	binary.BigEndian.PutUint16(msg[6:], seq)
	binary.BigEndian.PutUint16(msg[2:], checksum(msg))
	if _, err := conn.Write(msg); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	for buf := make([]byte, 1500); ; {
		got, _, err := conn.ReadFromIP(buf)
		if err != nil {
			return err
		}
		if got >= header && buf[0] == reply && binary.BigEndian.Uint16(buf[6:]) == seq {
			return nil
		}
	}
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}
