"""What is printed: the report an auditor is handed and the despatch note on the pallet."""
