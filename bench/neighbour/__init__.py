"""One key attacks with everything it may send, while another chats: what the other notices of it."""
