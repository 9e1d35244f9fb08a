# net-smtp sends one message: ruby send.rb HOST PORT SOURCE SECURE FROM TO FILE
require 'net/smtp'

host, port, source, secure, from, to, path = ARGV

# it has no option for the address that it connects from
class From < Net::SMTP
  attr_accessor :source

  def tcp_socket(host, port) = TCPSocket.open(host, port, source)
end

smtp = From.new(host, port.to_i)
smtp.source = source
smtp.read_timeout = 60
context = OpenSSL::SSL::SSLContext.new
context.verify_mode = OpenSSL::SSL::VERIFY_NONE
secure == '1' ? smtp.enable_starttls(context) : smtp.disable_starttls
smtp.start('ruby.example') { |it| it.send_message(File.binread(path), from, to) }
