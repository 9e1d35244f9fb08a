// net/smtp sends one message: send-go HOST PORT SOURCE SECURE FROM TO FILE
package main

import (
	"crypto/tls"
	"log"
	"net"
	"net/smtp"
	"os"
)

func main() {
	host, port, source, secure, from, to, path := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6], os.Args[7]
	message, err := os.ReadFile(path)
	must(err)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	connection, err := dialer.Dial("tcp", net.JoinHostPort(host, port))
	must(err)
	client, err := smtp.NewClient(connection, host)
	must(err)
	must(client.Hello("go.example"))
	if secure == "1" {
		must(client.StartTLS(&tls.Config{InsecureSkipVerify: true}))
	}
	must(client.Mail(from))
	must(client.Rcpt(to))
	data, err := client.Data()
	must(err)
	_, err = data.Write(message)
	must(err)
	must(data.Close())
	must(client.Quit())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
