console.log('multinic: nothing to show yet');
