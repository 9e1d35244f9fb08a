// nodemailer sends one message: node send.js HOST PORT SOURCE SECURE FROM TO FILE
const [host, port, source, secure, from, to, path] = process.argv.slice(2);
const transport = require('nodemailer').createTransport({
  host, port, localAddress: source, name: 'node.example', // its time-outs are its own
  ignoreTLS: secure !== '1', requireTLS: secure === '1', tls: { rejectUnauthorized: false },
});
transport.sendMail({ envelope: { from, to: [to] }, raw: require('fs').readFileSync(path) }, error => {
  if (error) { console.error(error); process.exit(1); }
});
