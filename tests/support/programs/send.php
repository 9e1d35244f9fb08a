<?php
// PHPMailer's SMTP class sends one message: php send.php HOST PORT SOURCE SECURE FROM TO FILE
require 'libphp-phpmailer/autoload.php';

[, $host, $port, $source, $secure, $from, $to, $path] = $argv;
$smtp = new PHPMailer\PHPMailer\SMTP();
$options = [
    'socket' => ['bindto' => "$source:0"],
    'ssl' => ['verify_peer' => false, 'verify_peer_name' => false],
];
$sent = $smtp->connect($host, (int) $port, 60, $options)
    && $smtp->hello('php.example')
    && (!$secure || ($smtp->startTLS() && $smtp->hello('php.example')))
    && $smtp->mail($from)
    && $smtp->recipient($to)
    && $smtp->data(file_get_contents($path));
if (!$sent) {
    fwrite(STDERR, json_encode($smtp->getError()));
    exit(1);
}
$smtp->quit();
