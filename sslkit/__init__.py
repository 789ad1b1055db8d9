"""sslkit: self-supervised learning, small enough to read and fast enough to use.

One idea, one room. Imports flow one way, from top to bottom:

    names       one name out of many, or the nearest ones
    device      devices, seeds, precision, processes, environment variables
    variants    a name -> numbers of its own: each student's or group's version of an assignment
    words       text -> words -> numbers -> windows of k words and the next; the vocabulary; drawing a word
    ngrams      the next word by counting: unigram, bigram and longer, smoothed
    data        load(name) -> images or passages with labels, split; the only room that touches disk or network for data
    augment     images -> images, per sample and batched, with an explicit generator
    nets        encoders and heads: parameters without a loss
    pretext     image -> (input, target made from the image itself)
    sequence    clip -> (input, target made from the clip itself)
    losses      embeddings -> scalar; pure functions
    pairs       what is compared with what: pairs, triplets, mining, and what goes wrong with them
    methods     net + pretext or augment + loss: one short nn.Module a method
    checkpoint  save and load, atomically, without pickled code
    resume      the state of a run in one file, and how a run is asked to stop
    memory      when a step finds no memory: which batch fits
    train       TrainConfig and fit: one readable loop
    recipes     what each method trains with, as measured
    evaluate    frozen encoder -> numbers: kNN, linear probe, label-efficiency curve, collapse measures, the controls
    passages    passages -> features -> which class, from few labels; bag of words and TF-IDF, the controls
    transfer    copy an encoder's early layers, freeze them or not, and train on a few labels
    scoreboard  one row a result; the course's growing table
    progress    a learner's own progress: which checks have passed, in a file beside the data
    checks      a reader's function -> pass, or the reason why not
    plots       tensors -> figure
    bench       where the time of a training step goes
    export      an encoder out of sslkit, and its model card
    doctor      is this machine ready?
    lab         JupyterLab on your own copies of the lessons
    widgets     ipywidgets over the methods: change the input by hand, see what the network makes of it
    cli         python -m sslkit doctor | pretrain | evaluate | transfer | scoreboard | bench | export | progress | lab

Nothing is imported, downloaded, seeded or printed by `import sslkit`; import the room that you need.
"""

__version__ = "0.1.0"
