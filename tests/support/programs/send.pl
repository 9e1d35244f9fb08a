# Net::SMTP sends one message: perl send.pl HOST PORT SOURCE SECURE FROM TO FILE
use strict;
use warnings;
use Net::SMTP;

my ($host, $port, $source, $secure, $from, $to, $path) = @ARGV;
open my $file, '<:raw', $path or die "$path: $!";
my $message = do { local $/; <$file> };
my $smtp = Net::SMTP->new(Host => $host, Port => $port, LocalAddr => $source, Hello => 'perl.example',
    Timeout => 60) or die "connect: $@";
my $did = sub { $_[0] or die $smtp->code, ' ', $smtp->message };
$did->($smtp->starttls(SSL_verify_mode => 0)) if $secure;
$did->($smtp->mail($from));
$did->($smtp->to($to));
$did->($smtp->data($message));
$smtp->quit;
