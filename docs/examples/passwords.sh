echo 'correct horse battery staple' | python -m socksproxy passwd passwords alice
echo 'troubadour' | python -m socksproxy passwd passwords bob
python -m socksproxy passwd --delete passwords bob
